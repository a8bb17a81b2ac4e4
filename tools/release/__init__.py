"""What a release has to pass: `make verify PART=release`."""
