"""Tests with programs that others wrote: `make verify PART=interop`."""
