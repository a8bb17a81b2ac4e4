"""Example programs that use the package; the tests run each of them."""
