"""The attack kit: a reproducible, labelled corpus of pictures that hide instructions, and of harmless look-alikes."""
