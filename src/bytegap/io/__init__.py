"""Files: atomic writes, records, arrays, tensors, TOML."""
