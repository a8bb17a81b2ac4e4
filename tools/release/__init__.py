"""What a release has to pass before anybody else gets it: `make release-check`."""
