"""Check a study folder."""
