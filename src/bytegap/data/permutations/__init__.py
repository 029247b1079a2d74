"""Permutations of a sequence's tokens, one file each: a subclass of `base.Permutation`, found by name."""
