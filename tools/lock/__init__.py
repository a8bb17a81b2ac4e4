"""Making requirements.lock (`make lock`) and checking it (`make lock-check`)."""
