"""Training objectives, one file each: what is hidden from the model, what is asked of it, how the answer is scored."""
