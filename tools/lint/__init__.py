"""`make check ARGS=spec`: the linter of openapi.yaml."""
