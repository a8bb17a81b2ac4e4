"""Reference pages of the HTTP API, written from openapi.yaml and the code generated from it."""
