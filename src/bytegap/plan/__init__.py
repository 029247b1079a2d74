"""Which runs a study needs, every number resolved and frozen before anything is spent."""
