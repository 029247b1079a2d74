"""The verb `probe`: what finished byte-level models learned about tokens, words and neighbouring bytes."""
