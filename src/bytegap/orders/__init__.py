"""What may happen to the order of a window's symbols, one file each: a module with `permute` and `restore`."""
