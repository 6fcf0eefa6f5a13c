"""Photo-like scenes drawn from noise: float32 RGB (rows, columns, 3), 0..255, before the camera's blur and noise.

The method is layered value noise as in terrain drawing: random grids enlarged with a cubic kernel, one grid an octave.
Each half has scenes of its own, so a detector that learns one half's textures gains nothing on the other.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from tests.attacks.hidden.lettering import Plane
from tests.attacks.hidden.payloads import Half

Size = tuple[int, int]
Scene = Callable[[Size, np.random.Generator], Plane]


def blur(pixels: Plane, sigma: float) -> Plane:
    """Gaussian blur of float32 pixels (any number of channels), `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


def octaves(size: Size, rng: np.random.Generator, *, first: int = 3, count: int = 7, fall: float = 0.55) -> Plane:
    """Layered value noise of (width, height): float32 (rows, columns), scaled to 0..1; `fall` is the gain an octave."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    cells, gain = float(first), 1.0
    for _ in range(count):
        across, down = max(2, round(cells)), max(2, round(cells * height / width))
        if across > width:
            break
        grid = rng.random((down + 1, across + 1), np.float32)
        total += np.float32(gain) * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        cells, gain = cells * 2.1, gain * fall
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low + 1e-6), np.float32)


def ramp(value: Plane, *colours: tuple[int, int, int]) -> Plane:
    """Map 0..1 (rows, columns) over evenly spaced RGB colours: float32 (rows, columns, 3)."""
    stops = np.linspace(0, 1, len(colours))
    table = np.stack([np.interp(np.linspace(0, 1, 1024), stops, [c[i] for c in colours]) for i in range(3)], axis=1)
    index = np.clip(value * 1023, 0, 1023).astype(np.int32)
    return np.asarray(table.astype(np.float32)[index], np.float32)


def _tinted(colour: tuple[int, int, int], rng: np.random.Generator, spread: int = 22) -> tuple[int, int, int]:
    red, green, blue = (int(np.clip(c + rng.integers(-spread, spread + 1), 0, 255)) for c in colour)
    return red, green, blue


def _heights(size: Size) -> Plane:
    width, height = size
    return np.broadcast_to(np.linspace(0, 1, height, dtype=np.float32)[:, None], (height, width)).copy()


def _hills(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    clouds = octaves(size, rng, first=2, count=5)
    sky = _tinted((92, 142, 205), rng), _tinted((200, 216, 232), rng)
    picture = ramp(_heights(size) * 0.8 + clouds * 0.35, *sky)
    ground = octaves(size, rng, first=5, count=9, fall=0.68)
    for layer in range(3):
        edge = octaves((width, 2), rng, first=3 + layer * 2, count=6)[0] * height * 0.22 + height * (0.3 + 0.2 * layer)
        below = np.arange(height)[:, None] > edge[None, :]
        dark, light = _tinted((30 + 10 * layer, 62, 36), rng), _tinted((120 - 12 * layer, 140, 84), rng)
        picture[below] = ramp(ground, dark, light)[below]
    return picture


def _seascape(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    horizon = round(height * rng.uniform(0.35, 0.6))
    glow = _tinted((238, 196, 150), rng), _tinted((96, 140, 196), rng)
    picture = ramp(1 - _heights(size) + 0.25 * octaves(size, rng, first=2, count=5), *glow)
    waves = octaves((width, height * 6), rng, first=4, count=8, fall=0.72)
    waves = np.asarray(cv2.resize(waves, size, interpolation=cv2.INTER_AREA), np.float32)
    sea = ramp(np.clip(waves * 1.4 - 0.2, 0, 1), _tinted((16, 48, 70), rng), _tinted((150, 186, 198), rng))
    picture[horizon:] = sea[horizon:]
    return picture


def _bokeh(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    picture = ramp(octaves(size, rng, first=2, count=4), _tinted((20, 18, 30), rng), _tinted((90, 66, 70), rng))
    for _ in range(int(rng.integers(25, 70))):
        centre = int(rng.integers(width)), int(rng.integers(height))
        colour = rng.uniform(60, 200, 3).astype(np.float32)
        disc = np.zeros((height, width), np.float32)
        cv2.circle(disc, centre, int(rng.integers(10, max(12, width // 12))), 1.0, -1, cv2.LINE_AA)
        x, y, w, h = cv2.boundingRect((disc > 0).astype(np.uint8))
        picture[y : y + h, x : x + w] += disc[y : y + h, x : x + w, None] * colour * np.float32(rng.uniform(0.2, 0.7))
    return blur(picture, rng.uniform(0.8, 2.5))


def _brick(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    course, length = int(rng.integers(22, 60)), int(rng.integers(60, 150))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wobble = octaves(size, rng, first=8, count=4) * 5
    row = ((y + wobble) // course).astype(np.int32)
    along = x + wobble + (row % 2) * (length / 2)
    joint = ((y + wobble) % course < course * 0.12) | (along % length < course * 0.12)
    tone = rng.random((int(row.max()) + 1, int(along.max() // length) + 2), np.float32)
    value = tone[row, (along // length).astype(np.int32)] * 0.5 + octaves(size, rng, first=20, count=6, fall=0.8) * 0.5
    picture = ramp(value, _tinted((96, 44, 34), rng), _tinted((178, 104, 78), rng))
    picture[joint] = ramp(octaves(size, rng, first=30, count=5), (120, 114, 104), (186, 180, 170))[joint]
    return picture


def _lawn(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    grain = rng.random((height, width), np.float32)
    blades = cv2.blur(grain, (2, int(rng.integers(9, 21)))) + 0.6 * cv2.blur(grain[:, ::-1], (3, 7))
    blades = (blades - blades.mean()) / (blades.std() + 1e-6) * 0.17 + 0.45
    value = np.asarray(blades + 0.35 * (octaves(size, rng, first=3, count=5) - 0.5), np.float32)
    return ramp(np.clip(value, 0, 1), _tinted((18, 46, 12), rng), _tinted((92, 134, 52), rng), (196, 210, 130))


def _dunes(size: Size, rng: np.random.Generator) -> Plane:
    height = size[1]
    ridged = 1 - np.abs(2 * octaves(size, rng, first=2, count=6, fall=0.5) - 1)
    ripples = np.sin(octaves(size, rng, first=2, count=4) * rng.uniform(60, 160)) * 0.06
    value = np.asarray(np.clip(ridged + ripples, 0, 1), np.float32)
    picture = ramp(value, _tinted((110, 70, 40), rng), _tinted((214, 168, 112), rng), _tinted((244, 222, 182), rng))
    edge = octaves((size[0], 2), rng, first=2, count=4)[0] * height * 0.2 + height * 0.12
    above = np.arange(height)[:, None] < edge[None, :]
    picture[above] = ramp(_heights(size), _tinted((70, 120, 190), rng), _tinted((214, 226, 236), rng))[above]
    return picture


def _skyline(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    dusk = _tinted((30, 34, 84), rng), _tinted((170, 84, 100), rng), _tinted((250, 180, 110), rng)
    picture = ramp(_heights(size) + 0.12 * octaves(size, rng, first=3, count=5), *dusk)
    left = 0
    while left < width:
        wide, tall = int(rng.integers(24, 110)), int(height * rng.uniform(0.2, 0.65))
        wall = rng.uniform(14, 60, 3).astype(np.float32)
        picture[height - tall :, left : left + wide] = wall
        for y in range(height - tall + 8, height - 8, 14):
            lit = [x for x in range(left + 5, min(left + wide, width) - 8, 12) if rng.random() < 0.45]
            for x in lit:
                picture[y : y + 7, x : x + 6] = wall + rng.uniform(40, 190) * np.array([1.0, 0.85, 0.5], np.float32)
        left += wide + int(rng.integers(0, 12))
    return blur(picture, 0.8)


def _leaves(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    picture = ramp(octaves(size, rng, first=4, count=6), _tinted((14, 30, 16), rng), _tinted((58, 84, 44), rng))
    canvas = np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))
    for _ in range(width * height // 1500):
        centre = int(rng.integers(width)), int(rng.integers(height))
        long = int(rng.integers(8, 34))
        colour = _tinted((86, 128, 50), rng, 60)
        angle = float(rng.integers(360))
        cv2.ellipse(canvas, centre, (long, max(3, long // 3)), angle, 0, 360, colour, -1, cv2.LINE_AA)
    light = 0.7 + 0.6 * octaves(size, rng, first=3, count=8, fall=0.7)
    return np.asarray(canvas.astype(np.float32) * light[..., None], np.float32)


def _cobbles(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    pitch = int(rng.integers(24, 64))
    centres = np.ones((height, width), np.uint8)
    for y in range(pitch // 2, height, pitch):
        for x in range(pitch // 2, width, pitch):
            shift = rng.integers(-pitch // 4, pitch // 4 + 1, 2)
            centres[np.clip(y + shift[0], 0, height - 1), np.clip(x + shift[1], 0, width - 1)] = 0
    far, names = cv2.distanceTransformWithLabels(centres, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    dome = np.clip(1 - far / (0.75 * pitch), 0, 1) ** 0.5
    tone = rng.random(int(names.max()) + 1, np.float32)[names]
    value = dome * (0.45 + 0.3 * tone) + 0.3 * octaves(size, rng, first=24, count=6, fall=0.8)
    return ramp(
        np.asarray(np.clip(value, 0, 1), np.float32), (24, 22, 22), _tinted((124, 118, 112), rng), (220, 214, 206)
    )


def _wood(size: Size, rng: np.random.Generator) -> Plane:
    width, height = size
    stretched = octaves((max(8, width // 8), height), rng, first=4, count=7, fall=0.62)
    value = np.asarray(cv2.resize(stretched, size, interpolation=cv2.INTER_CUBIC), np.float32)
    rings = 0.5 + 0.5 * np.sin(value * rng.uniform(25, 70))
    fibre = cv2.blur(rng.random((height, width), np.float32), (25, 1)) - 0.5
    total = np.asarray(np.clip(0.35 * rings + 0.45 * value + fibre, 0, 1), np.float32)
    return ramp(total, _tinted((74, 42, 20), rng), _tinted((158, 104, 60), rng), _tinted((214, 170, 116), rng))


SCENES: dict[Half, dict[str, Scene]] = {
    "train": {"hills": _hills, "seascape": _seascape, "bokeh": _bokeh, "brick": _brick, "lawn": _lawn},
    "blind": {"dunes": _dunes, "skyline": _skyline, "leaves": _leaves, "cobbles": _cobbles, "wood": _wood},
}


def camera(scene: Plane, rng: np.random.Generator) -> Plane:
    """What a camera does to a scene: a lens blur of 0.4-0.9 px, vignetting and sensor noise of 1-4 levels."""
    height, width = scene.shape[:2]
    pixels = blur(scene, rng.uniform(0.4, 0.9))
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    pixels *= (1 - np.float32(rng.uniform(0, 0.2)) * (across[None, :] ** 2 + down[:, None] ** 2) / 2)[..., None]
    shared = rng.standard_normal((height, width, 1), np.float32)
    own = rng.standard_normal(pixels.shape, np.float32)
    pixels += np.float32(rng.uniform(1, 4)) * (np.float32(0.8) * shared + np.float32(0.6) * own)
    return np.asarray(np.clip(pixels, 0, 255), np.float32)


def photo(size: Size, rng: np.random.Generator, half: Half) -> tuple[Plane, str]:
    """A photo-like picture of (width, height) and the name of its scene."""
    names = sorted(SCENES[half])
    name = names[int(rng.integers(len(names)))]
    return camera(SCENES[half][name](size, rng), rng), name
