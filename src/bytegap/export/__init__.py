"""The export stage: a finished run as a folder that others load."""
