"""Models in local folders: safetensors weights and JSON, one module a family; `lm.open_model` picks the family.

`exported` reads what `bytegap export` writes, `llada` and `mdlm` are masked diffusion models, and `hf_causal` is any
causal model that the package `transformers` knows.
"""
