"""Samplers: how text is generated from a model; an objective says which one its models use."""
