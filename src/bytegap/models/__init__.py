"""Model families, one file each: a subclass of `base.ModelFamily`, found by name."""
