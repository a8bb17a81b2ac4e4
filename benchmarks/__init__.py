"""Measurements, to be run by hand: nothing here passes or fails a check."""
