"""Programs that show the package at work; each of them runs in the tests."""
