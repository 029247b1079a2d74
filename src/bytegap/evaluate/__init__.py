"""The verb `evaluate`: bits per byte of files under a model, by byte class and under corruption, and UTF-8 validity."""
