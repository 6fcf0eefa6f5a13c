"""What is done to a copy of a picture so that nobody knows it again: several edits at once, as plain functions."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from PIL import Image, ImageDraw, ImageOps

Edit = Callable[[Image.Image, random.Random], Image.Image]
_DARK = (18, 18, 18)


def _cut(picture: Image.Image, draw: random.Random, share: float) -> Image.Image:
    """A share of each side less, taken off wherever it falls."""
    across, down = round(picture.width * share), round(picture.height * share)
    left, top = draw.randint(0, across), draw.randint(0, down)
    return picture.crop((left, top, left + picture.width - across, top + picture.height - down))


def _turned(picture: Image.Image, draw: random.Random, degrees: float) -> Image.Image:
    """Turned to either side, with black corners."""
    return picture.rotate(draw.choice((-1, 1)) * degrees, Image.Resampling.BICUBIC)


def _saved(picture: Image.Image, _draw: random.Random, quality: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    with Image.open(data) as again:
        return again.convert("RGB")


def _sized(picture: Image.Image, _draw: random.Random, share: float) -> Image.Image:
    size = max(16, round(picture.width * share)), max(16, round(picture.height * share))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _mirrored(picture: Image.Image, _draw: random.Random) -> Image.Image:
    return ImageOps.mirror(picture)


def _lying(picture: Image.Image, draw: random.Random) -> Image.Image:
    return picture.transpose(draw.choice((Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)))


def _captioned(picture: Image.Image, _draw: random.Random) -> Image.Image:
    bar = picture.height // 7
    found = Image.new("RGB", (picture.width, picture.height + bar), "white")
    found.paste(picture, (0, bar))
    ImageDraw.Draw(found).text((8, 4), "have you seen this one", fill="black", font_size=max(12, bar // 2))
    return found


def _on_screen(picture: Image.Image, _draw: random.Random) -> Image.Image:
    found = Image.new("RGB", (round(picture.width * 1.06), round(picture.height * 1.3)), _DARK)
    found.paste(picture, ((found.width - picture.width) // 2, round(picture.height * 0.15)))
    ImageDraw.Draw(found).text((10, 6), "12:45   100%", fill="white")
    return found


TOGETHER: Mapping[str, Sequence[Edit]] = {
    "cut 5 %, turned 2 degrees, JPEG q50": (
        partial(_cut, share=0.05),
        partial(_turned, degrees=2),
        partial(_saved, quality=50),
    ),
    "cut 10 %, turned 5 degrees, half size, JPEG q40": (
        partial(_cut, share=0.1),
        partial(_turned, degrees=5),
        partial(_sized, share=0.5),
        partial(_saved, quality=40),
    ),
    "mirrored, cut 5 %, JPEG q40": (_mirrored, partial(_cut, share=0.05), partial(_saved, quality=40)),
    "turned 90 and 2 degrees, half size": (_lying, partial(_turned, degrees=2), partial(_sized, share=0.5)),
    "cut 5 %, captioned, JPEG q50": (partial(_cut, share=0.05), _captioned, partial(_saved, quality=50)),
    "cut 5 %, on a screen, half size, JPEG q50": (
        partial(_cut, share=0.05),
        _on_screen,
        partial(_sized, share=0.5),
        partial(_saved, quality=50),
    ),
    "turned 3 degrees, captioned": (partial(_turned, degrees=3), _captioned),
}
"""Name -> edits, one after the other."""


def edited(picture: Image.Image, key: str) -> Iterator[tuple[str, Image.Image]]:
    """The picture, RGB, under each of `TOGETHER`; `key` decides where cuts fall and which way it is turned."""
    for name, edits in TOGETHER.items():
        draw = random.Random(f"{key} {name}")  # noqa: S311
        found = picture
        for edit in edits:
            found = edit(found, draw)
        yield name, found
