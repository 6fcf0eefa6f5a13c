"""Pictures that a script draws, with captions: what a tiny CLIP learns from in minutes, and is measured on."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIDE = 48
_FINE = 4
COLOURS = {
    "red": (214, 40, 40),
    "green": (40, 150, 60),
    "blue": (40, 80, 210),
    "yellow": (240, 205, 40),
    "orange": (240, 135, 30),
    "purple": (130, 50, 160),
    "black": (20, 20, 20),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "ring", "square", "triangle", "star", "cross", "heart", "moon", "house", "tree", "fish", "arrow")
UNSEEN = frozenset({("star", "blue"), ("ring", "green"), ("house", "red"), ("heart", "purple"), ("fish", "orange")})
"""Pairs of shape and colour that no training picture shows."""
_CAPTIONS = (
    "a {}",
    "a picture of a {}",
    "a drawing of a {}",
    "a photo of a {}",
    "a painting of a {}",
    "a rendering of a {}",
    "a close-up of a {}",
)
_GROUNDS = (" on a {} ground", " on {}", " in front of something {}")

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture and what it shows."""

    picture: Image.Image
    shape: str
    colour: str
    ground: str


def drawing(dice: random.Random, shape: str | None = None, colour: str | None = None) -> Drawing:
    """One shape somewhere on a ground of another colour, turned, with noise; 48 x 48 RGB."""
    shape = shape or dice.choice(SHAPES)
    colour = colour or dice.choice(list(COLOURS))
    ground = dice.choice([item for item in COLOURS if item != colour])
    side = SIDE * _FINE
    picture = Image.new("RGB", (side, side), _jittered(COLOURS[ground], dice))
    radius = dice.uniform(0.3, 0.45) * side
    centre = [dice.uniform(radius, side - radius) for _ in range(2)]
    _draw(
        ImageDraw.Draw(picture),
        shape,
        centre,
        radius,
        math.radians(dice.uniform(-20, 20)),
        _jittered(COLOURS[colour], dice),
        picture,
    )
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    noise = np.random.default_rng(dice.getrandbits(32)).normal(0, dice.uniform(0, 8), small.shape)
    return Drawing(Image.fromarray((small + noise).clip(0, 255).astype(np.uint8)), shape, colour, ground)


def caption(found: Drawing, dice: random.Random) -> str:
    """One of many ways to say what it shows."""
    thing = found.shape if dice.random() < 0.5 else f"{found.colour} {found.shape}"
    text = dice.choice(_CAPTIONS).format(thing)
    return text + dice.choice(_GROUNDS).format(found.ground) if dice.random() < 0.25 else text


def training_set(count: int, seed: int) -> tuple[list[Image.Image], list[str]]:
    """Pictures and captions without the pairs of `UNSEEN`."""
    dice = random.Random(seed)
    pictures, captions = [], []
    while len(pictures) < count:
        found = drawing(dice)
        if (found.shape, found.colour) not in UNSEEN:
            pictures.append(found.picture)
            captions.append(caption(found, dice))
    return pictures, captions


def _jittered(colour: tuple[int, int, int], dice: random.Random) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, item + dice.randint(-14, 14))) for item in colour)
    return red, green, blue


def _turned(points: Points, centre: list[float], radius: float, angle: float) -> Points:
    cos, sin = math.cos(angle), math.sin(angle)
    return [(centre[0] + radius * (x * cos - y * sin), centre[1] + radius * (x * sin + y * cos)) for x, y in points]


def _round(count: int, radii: tuple[float, ...] = (1.0,)) -> Points:
    return [
        (
            radii[at % len(radii)] * math.sin(2 * math.pi * at / count),
            -radii[at % len(radii)] * math.cos(2 * math.pi * at / count),
        )
        for at in range(count)
    ]


_POLYGONS: dict[str, list[Points]] = {
    "circle": [_round(48)],
    "square": [[(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]],
    "triangle": [[(0, -0.95), (0.95, 0.8), (-0.95, 0.8)]],
    "star": [_round(10, (1.0, 0.42))],
    "cross": [
        [(-0.95, -0.3), (0.95, -0.3), (0.95, 0.3), (-0.95, 0.3)],
        [(-0.3, -0.95), (0.3, -0.95), (0.3, 0.95), (-0.3, 0.95)],
    ],
    "heart": [
        [
            (
                0.95 * math.sin(t) ** 3,
                -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17,
            )
            for t in np.linspace(0, 2 * math.pi, 48)
        ]
    ],
    "house": [[(-0.7, -0.1), (0.7, -0.1), (0.7, 0.9), (-0.7, 0.9)], [(0, -0.95), (1.0, 0.0), (-1.0, 0.0)]],
    "tree": [
        [(0, -1.0), (0.7, 0.0), (-0.7, 0.0)],
        [(0, -0.5), (0.9, 0.6), (-0.9, 0.6)],
        [(-0.15, 0.5), (0.15, 0.5), (0.15, 1.0), (-0.15, 1.0)],
    ],
    "fish": [[(x * 0.7 - 0.2, y * 0.5) for x, y in _round(40)], [(0.35, 0.0), (1.0, -0.5), (1.0, 0.5)]],
    "arrow": [[(-1.0, -0.2), (0.2, -0.2), (0.2, 0.2), (-1.0, 0.2)], [(0.1, -0.65), (1.0, 0.0), (0.1, 0.65)]],
}


def _draw(
    pen: ImageDraw.ImageDraw,
    shape: str,
    centre: list[float],
    radius: float,
    angle: float,
    colour: tuple[int, int, int],
    picture: Image.Image,
) -> None:
    if shape in ("ring", "moon"):
        # what is cut out shows the ground; no shape reaches the corner
        ground = picture.getpixel((0, 0))
        hole = _round(48) if shape == "moon" else [(x * 0.6, y * 0.6) for x, y in _round(48)]
        shift = 0.5 if shape == "moon" else 0.0
        pen.polygon(_turned(_round(48), centre, radius, angle), fill=colour)
        pen.polygon(
            _turned(
                [(x * (0.85 if shape == "moon" else 1) + shift, y * (0.85 if shape == "moon" else 1)) for x, y in hole],
                centre,
                radius,
                angle,
            ),
            fill=ground,
        )
        return
    for points in _POLYGONS[shape]:
        pen.polygon(_turned(points, centre, radius, angle), fill=colour)
