"""What a model costs: parameters and FLOPs by term, under every convention. Reads; writes nothing."""
