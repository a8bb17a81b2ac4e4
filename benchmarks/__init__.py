"""What this package costs beside its peers, measured by hand: nothing here is a check."""
