"""Bits per byte of whatever is at hand, on the text that a study's models are scored on or on any other."""
