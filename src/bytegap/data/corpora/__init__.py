"""Corpus sources, one file each: a subclass of `base.CorpusSource`, found by name."""
