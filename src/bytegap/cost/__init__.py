"""The three counts the study rests on: parameters, FLOPs, bits. No torch."""
