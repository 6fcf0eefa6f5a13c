"""The in-process faces of the guard."""
