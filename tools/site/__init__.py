"""The documentation's site: `make docs`."""
