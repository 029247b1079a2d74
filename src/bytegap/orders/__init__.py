"""What may happen to the order of a row's symbols, one file each: `permute`, and `restore`, which undoes it."""
