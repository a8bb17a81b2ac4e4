"""Linting openapi.yaml (`make spec`)."""
