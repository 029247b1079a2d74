"""Building blocks of the models: attention patterns and kernels, a KV cache, layers."""
