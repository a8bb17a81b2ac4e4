"""`make generate` and `make drift`: from openapi.yaml to pipedrive_oauth_client/generated/."""
