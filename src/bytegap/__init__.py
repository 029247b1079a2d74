"""What it costs to drop the tokenizer, and the causal order: compute-matched studies in bits per byte."""
