"""Architectures, one file each: a module with `Shape`, `build(shape)` and `costs(shape)`.

What is built has `features(ids, positions)`, which the planned numerics compute, and `lm_head`; attention goes through
`_blocks.Attention`, lest the planned form of it be ignored. Its `layers`, in order, are what a probe reads between.
"""
