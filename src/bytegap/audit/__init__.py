"""Audit of bits per byte: anybody's tokenizer, table of bytes per token, and claimed figure, against a text."""
