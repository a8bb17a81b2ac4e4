"""What the Makefile runs: set-up, generation, lock, lint. Nothing of it is in the wheel."""
