"""The verb `flops`: parameters and FLOPs of models by term, under every convention."""
