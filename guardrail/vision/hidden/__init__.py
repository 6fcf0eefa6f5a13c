"""Instructions hidden in pictures: what only a machine reads, wherever it would read it.

`detector` asks the others: `residual` and `scaling` for pictures that change when they are reduced, `bands` for faint
and tiny lines, `planes` for what stands in alpha, palettes and low bits, `codes` for bar codes.
"""
