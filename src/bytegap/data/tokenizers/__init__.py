"""Tokenizers, one kind a file: a subclass of `base.TokenizerSpec`, found by name."""
