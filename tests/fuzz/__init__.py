"""Mutated picture files against the structure pass and the decoder: `make fuzz`."""
