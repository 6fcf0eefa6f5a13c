"""What a picture has lost: colours, pixels, or detail to heavy JPEG. A net is less sure of it, and mostly sees less.

So what is left is read as what might have been there: logits are added, about as many as such a loss takes from drawn
figures and paintings whose bareness is nearly an even call, and half a spread more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from guardrail.signals import RGB

ENOUGH = 224
"""Longest side, in pixels, from which a picture has as many as the net takes in."""
SMALL = 1.0
"""Logits for half of that."""
COLOURLESS = -0.2
"""Logits for a picture without colours: it looks barer than it did with them, what is harmless most of all."""
GREY = 4
"""Largest difference, in levels, between channels of a pixel without colour."""
TONE, TWO_TONED = 24, 0.98
"""Levels within which a pixel has the darkest or lightest tone, and share of such pixels in a two-toned picture."""
SAMPLED = 320
BLOCKED = 0.5
"""Logits for heavy JPEG."""
BLOCKS = 1.15, 1.35
"""How much larger steps over the edges of JPEG's blocks are than other steps: where it begins, where it is heavy."""
BLOCKED_SIDE = 400
"""Longest side, in pixels, above which blocks vanish when the net's square is made."""
BLOCK = 8
MOST = 1.2


@dataclass(frozen=True, slots=True)
class Wear:
    """What can be seen of it in the whole picture.

    Attributes:
        blocks: what `blockiness` says.
        two_toned: whether it never had tones to lose: line art, print, a halftone.
    """

    blocks: float = 1.0
    two_toned: bool = False

    @classmethod
    def of(cls, pixels: RGB, reduced: RGB) -> Wear:
        """The wear of a picture, (height, width, 3), and of its reduced copy: dots of a halftone are grey in that."""
        return cls(blockiness(reduced), two_toned(pixels))


def allowance(square: RGB, side: int, wear: Wear) -> float:
    """Logits to add to those for a bare body, `COLOURLESS` to `MOST`.

    Args:
        square: the reading.
        side: longest side of the picture in pixels.
        wear: of the picture.
    """
    total = SMALL * min(max(math.log2(ENOUGH / side), 0.0), 1.0)
    if not wear.two_toned and colourless(square):
        total += COLOURLESS
    if side <= BLOCKED_SIDE:
        total += BLOCKED * min(max((wear.blocks - BLOCKS[0]) / (BLOCKS[1] - BLOCKS[0]), 0.0), 1.0)
    return min(total, MOST)


def colourless(pixels: RGB) -> bool:
    """Whether no pixel to speak of has a colour."""
    channels = pixels.astype(np.int16)
    return float(np.quantile(channels.max(axis=2) - channels.min(axis=2), 0.99)) <= GREY


def two_toned(pixels: RGB) -> bool:
    """Whether nearly all pixels are as dark as the darkest or as light as the lightest."""
    step = max(1, max(pixels.shape[:2]) // SAMPLED)
    grey = pixels[::step, ::step].mean(axis=2, dtype=np.float32)
    dark, light = np.quantile(grey, (0.02, 0.98))
    return float(((grey <= dark + TONE) | (grey >= light - TONE)).mean()) >= TWO_TONED


def blockiness(pixels: RGB) -> float:
    """How much larger steps between neighbours are at every eighth row and column than elsewhere; 1 for no blocks."""
    grey = pixels.mean(axis=2, dtype=np.float32)
    return min(_blocks(grey), _blocks(grey.T))


def _blocks(grey: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    if grey.shape[1] < 3 * BLOCK:
        return 1.0
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    phases = np.array([steps[phase::BLOCK].mean() for phase in range(BLOCK)])
    largest = int(phases.argmax())
    return float(phases[largest] / max(np.median(np.delete(phases, largest)), 0.3))
