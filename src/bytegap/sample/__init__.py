"""Text drawn from a finished run."""
