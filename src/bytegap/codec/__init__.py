"""The verbs `compress` and `decompress`: lossless compression with an autoregressive run.

The compressed size verifies the bits per byte that `evaluate` reports.
"""
