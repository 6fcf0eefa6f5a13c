"""Drawn, lettered covers: signs, screenshots, code listings, tables, memes, line art. RGB pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tests.attacks.hidden import lettering
from tests.attacks.hidden.payloads import Half, harmless
from tests.attacks.hidden.scenes import Size, blur, camera, octaves, photo

Colour = tuple[int, int, int]

_WORDS: dict[Half, tuple[str, ...]] = {
    "train": (
        "File",
        "Edit",
        "View",
        "Insert",
        "Format",
        "Window",
        "Help",
        "Save",
        "Cancel",
        "Inbox",
        "Photos",
        "Music",
    ),
    "blind": (
        "Start",
        "Project",
        "Build",
        "Search",
        "Options",
        "About",
        "Apply",
        "Close",
        "Drafts",
        "Maps",
        "Notes",
        "Clock",
    ),
}
_CODE: dict[Half, tuple[str, ...]] = {
    "train": (
        "def area(radius):",
        "    return 3.14159 * radius ** 2",
        "for row in table:",
        "    total += row['weight']",
        "if not found:",
        "    print('nothing here')",
        "class Boat:",
        "    oars = 2",
    ),
    "blind": (
        "fn main() {",
        "    let mut sum = 0;",
        "    while i < 10 { i += 1; }",
        '    println!("{}", sum);',
        "}",
        "struct Point { x: f64, y: f64 }",
        "match colour { Red => 1, _ => 0 }",
        "impl Shape for Square {}",
    ),
}


def _colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def _image(pixels: lettering.Plane) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def sign(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    """A painted board with a short harmless text before a blurred scene."""
    width, height = size
    pixels, _ = photo(size, rng, half)
    pixels = blur(pixels, rng.uniform(1, 4))
    wide, tall = round(width * rng.uniform(0.6, 0.85)), round(height * rng.uniform(0.35, 0.6))
    left, top = int(rng.integers(width - wide)), int(rng.integers(height - tall))
    dark = rng.random() < 0.5
    board = np.asarray(_colour(rng, 20, 110) if dark else _colour(rng, 170, 245), np.float32)
    ink = _colour(rng, 210, 256) if dark else _colour(rng, 0, 70)
    wear = octaves((wide, tall), rng, first=6, count=6)[..., None] * 24 - 12
    pixels[top : top + tall, left : left + wide] = board + wear
    drawn, _, _ = lettering.fitted(harmless(half, rng, capitals=True), half, rng, tall // 3, (wide - 20, tall - 20))
    at = left + (wide - drawn.shape[1]) // 2, top + (tall - drawn.shape[0]) // 2
    lettering.stamp(pixels, drawn, at, ink, 1.0)
    return _image(camera(pixels, rng))


def meme(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    """A photo under large white capitals with a black rim, above and below."""
    width, height = size
    pixels, _ = photo(size, rng, half)
    picture = _image(pixels)
    draw = ImageDraw.Draw(picture)
    chosen = lettering.pick_face(half, rng, int(height * rng.uniform(0.06, 0.1)))
    for place in ("top", "bottom"):
        lines = lettering.wrap(harmless(half, rng, capitals=True), chosen, round(width * 0.9))
        top = 8 if place == "top" else height - 8 - chosen.line * len(lines)
        for row, line in enumerate(lines):
            left = (width - chosen.font.getlength(line)) / 2
            at = left, top + row * chosen.line
            draw.text(at, line, (255, 255, 255), chosen.font, stroke_width=3, stroke_fill=(0, 0, 0))
    return picture


def _paragraph(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], rng: np.random.Generator, half: Half, ink: Colour
) -> None:
    """Fill the box (left, top, right, bottom) with harmless sentences of 10 to 16 px."""
    left, top, right, bottom = box
    chosen = lettering.pick_face(half, rng, int(rng.integers(10, 17)))
    text = " ".join(harmless(half, rng, capitals=False) for _ in range(60))
    for line in lettering.wrap(text, chosen, right - left):
        if top + chosen.line > bottom:
            return
        draw.text((left, top), line, ink, chosen.font)
        top += chosen.line + 2
        if rng.random() < 0.12:
            top += chosen.line


def _window(size: Size, rng: np.random.Generator, half: Half) -> tuple[Image.Image, ImageDraw.ImageDraw, int, Colour]:
    """An empty window: picture, its pen, the first free row, and an ink that stands off the paper."""
    width, _ = size
    dark = rng.random() < 0.35
    paper = _colour(rng, 18, 50) if dark else _colour(rng, 236, 256)
    picture = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, 26), _colour(rng, 50, 200))
    small = lettering.pick_face(half, rng, 12)
    draw.text((10, 6), harmless(half, rng, capitals=False)[:40], (255, 255, 255), small.font)
    left = 8
    for word in rng.permutation(np.asarray(_WORDS[half]))[:7]:
        draw.text((left, 32), str(word), _colour(rng, 190, 250) if dark else _colour(rng, 0, 80), small.font)
        left += int(small.font.getlength(str(word))) + 16
    draw.line((0, 52, width, 52), (128, 128, 128))
    return picture, draw, 60, _colour(rng, 190, 250) if dark else _colour(rng, 0, 70)


def screenshot(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    """A window with a menu, a side list, buttons, small print and sometimes a picture."""
    width, height = size
    picture, draw, top, ink = _window(size, rng, half)
    side = int(rng.integers(90, 170))
    chosen = lettering.pick_face(half, rng, int(rng.integers(10, 15)))
    for row, word in enumerate(rng.choice(np.asarray(_WORDS[half]), (height - 80) // 24)):
        draw.text((12, top + row * 24), str(word), ink, chosen.font)
    draw.line((side, top - 8, side, height), (140, 140, 140))
    split = round(height * rng.uniform(0.4, 0.9))
    _paragraph(draw, (side + 14, top, width - 14, split - 10), rng, half, ink)
    if rng.random() < 0.5 and height - split > 60:
        inset, _ = photo((width - side - 40, height - split - 20), rng, half)
        picture.paste(_image(inset), (side + 20, split))
    else:
        _paragraph(draw, (side + 14, split, width - 14, height - 40), rng, half, ink)
    return picture


def code(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    """A listing on a fixed pitch with line numbers, 10 to 16 px."""
    width, height = size
    picture, draw, top, ink = _window(size, rng, half)
    chosen = lettering.pick_face(half, rng, int(rng.integers(10, 17)))
    pitch = chosen.font.getlength("n") * 1.05
    for number in range(1, (height - top) // (chosen.line + 1)):
        line = _CODE[half][int(rng.integers(len(_CODE[half])))]
        colour = ink if rng.random() < 0.7 else _colour(rng, 90, 170)
        draw.text((8, top), str(number), (130, 130, 130), chosen.font)
        for column, letter in enumerate(line[: int((width - 50) / pitch)]):
            draw.text((44 + column * pitch, top), letter, colour, chosen.font)
        top += chosen.line + 1
    return picture


def table(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    """A ruled table of words and figures."""
    width, height = size
    picture, draw, top, ink = _window(size, rng, half)
    chosen = lettering.pick_face(half, rng, int(rng.integers(10, 16)))
    wide, tall = int(rng.integers(70, 140)), chosen.line + int(rng.integers(4, 10))
    for row, y in enumerate(range(top, height - tall, tall)):
        if row % 2:
            draw.rectangle((0, y, width, y + tall), _mixed(picture.getpixel((1, height - 1)), ink))
        for x in range(6, width - wide, wide):
            cell = str(rng.choice(np.asarray(_WORDS[half]))) if x < wide or row == 0 else f"{rng.uniform(0, 999):.2f}"
            draw.text((x, y + 2), cell, ink, chosen.font)
        draw.line((0, y, width, y), (150, 150, 150))
    for x in range(0, width, wide):
        draw.line((x, top, x, height), (150, 150, 150))
    return picture


def _mixed(paper: object, ink: Colour) -> Colour:
    assert isinstance(paper, tuple)
    red, green, blue = (round(0.93 * a + 0.07 * b) for a, b in zip(paper, ink, strict=True))
    return red, green, blue


def line_art(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    """Ink curves, circles and hatching on paper, drawn at double size for smooth edges."""
    width, height = size[0] * 2, size[1] * 2
    picture = Image.new("L", (width, height), int(rng.integers(240, 256)))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(20, 60))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        reach = int(rng.integers(30, width // 4))
        box = x - reach, y - reach, x + reach, y + reach
        if half == "train":
            draw.arc(box, int(rng.integers(360)), int(rng.integers(360)), 20, int(rng.integers(2, 7)))
        else:
            draw.regular_polygon((x, y, reach), int(rng.integers(3, 9)), int(rng.integers(360)), None, 30, 4)
        if rng.random() < 0.3:
            for step in range(0, reach, int(rng.integers(8, 20))):
                draw.line((x + step, y, x + step + reach // 3, y + reach // 2), 40, 2)
    return picture.resize(size, Image.Resampling.BOX).convert("RGB")
