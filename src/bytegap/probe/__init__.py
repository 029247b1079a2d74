"""The probe stage: what finished byte models know of tokens, words and neighbours, measured directly."""
