"""`make diff`: what a change of the spec breaks, for importers of the client and over HTTP."""
