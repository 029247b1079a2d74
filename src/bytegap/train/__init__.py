"""One loop for every arm: what differs between arms is in their objective, tokens, order and model."""
