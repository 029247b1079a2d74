"""A lossless compressor driven by a run: what proves its bits per byte."""
