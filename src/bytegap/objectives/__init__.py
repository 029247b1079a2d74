"""Training objectives, one file each: a subclass of `base.Objective`, found by name."""
