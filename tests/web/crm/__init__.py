"""An app of a Django project with a second Pipedrive app, whose accounts have their own table."""
