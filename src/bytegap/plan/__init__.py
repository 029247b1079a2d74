"""Resolves every run of a study (model size, steps, batch size, learning rate, FLOPs) before any compute is spent."""
