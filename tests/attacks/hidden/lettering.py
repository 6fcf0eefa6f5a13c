"""Lettering: fonts of each half, line breaking, and text as coverage masks (float32, 0..1, rows x columns)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.attacks.hidden.payloads import Half

Plane = NDArray[np.float32]

_FOLDER = Path("/usr/share/fonts/truetype/dejavu")
_BUILT_IN = "Pillow default"
FONTS: dict[Half, tuple[str, ...]] = {
    "train": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansCondensed", "DejaVuSans-Oblique", "DejaVuSansCondensed-Bold"),
    "blind": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerifCondensed", "DejaVuSansMono", _BUILT_IN),
}


@dataclass(frozen=True, slots=True)
class Face:
    """A font at one size: `name` for the labels, `font` for drawing."""

    name: str
    font: ImageFont.FreeTypeFont

    @property
    def line(self) -> int:
        """Height of a line in pixels, ascent and descent together."""
        ascent, descent = self.font.getmetrics()
        return ascent + descent


@lru_cache(maxsize=512)
def face(name: str, size: int) -> Face:
    """The named font at `size` pixels an em; a font this machine lacks is replaced by the one Pillow carries."""
    path = _FOLDER / f"{name}.ttf"
    if name != _BUILT_IN and path.exists():
        # The basic layout is in every build of Pillow, so letters fall on the same pixels everywhere.
        return Face(name, ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC))
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return Face(_BUILT_IN, font)


def pick_face(half: Half, rng: np.random.Generator, size: int) -> Face:
    """A font of the half's own list at `size` pixels an em."""
    return face(FONTS[half][int(rng.integers(len(FONTS[half])))], size)


def wrap(text: str, chosen: Face, width: int) -> list[str]:
    """The text broken into lines of at most `width` pixels (a single longer word keeps its own line)."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and chosen.font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def mask(lines: list[str], chosen: Face, *, spacing: int = 2) -> Plane:
    """Coverage of the lines set flush left: float32 (rows, columns), 0 paper to 1 ink, one pixel of margin."""
    width = max(round(chosen.font.getlength(line)) for line in lines) + 4
    pitch = chosen.line + spacing
    sheet = Image.new("L", (width, pitch * len(lines) + 2))
    draw = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        draw.text((2, 1 + row * pitch), line, fill=255, font=chosen.font)
    return np.asarray(sheet, np.float32) / np.float32(255)


def fitted(text: str, half: Half, rng: np.random.Generator, size: int, box: tuple[int, int]) -> tuple[Plane, Face, int]:
    """Mask of the text in `box` (width, height), the em shrunk from `size` until it fits: mask, face, lines."""
    name = FONTS[half][int(rng.integers(len(FONTS[half])))]
    while True:
        chosen = face(name, size)
        lines = wrap(text, chosen, box[0] - 6)
        drawn = mask(lines, chosen)
        if (drawn.shape[1] <= box[0] and drawn.shape[0] <= box[1]) or size <= 8:
            return drawn[: box[1], : box[0]], chosen, len(lines)
        size -= 1


def stamp(pixels: Plane, drawn: Plane, at: tuple[int, int], colour: tuple[float, float, float], opacity: float) -> None:
    """Blend a mask into float32 RGB pixels (rows, columns, 3) in place, its upper left corner at (x, y)."""
    left, top = at
    rows, columns = drawn.shape
    region = pixels[top : top + rows, left : left + columns]
    weight = (drawn[: region.shape[0], : region.shape[1], None] * opacity).astype(np.float32)
    region += weight * (np.asarray(colour, np.float32) - region)
