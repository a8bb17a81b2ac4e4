"""`PipedriveAuth` for other HTTP libraries than httpx; each module needs the extra of its name."""
