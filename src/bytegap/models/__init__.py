"""Architectures, one file each: a module with `Shape`, `build(shape)` and `costs(shape)`."""
