"""Benign pictures of every kind the kit knows, drawn by the project from a seeded generator, in colour, 512-1280 px.

Nothing comes from outside: the packages this project installs ship no photographs for reuse, so photos are drawn too.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.attacks.hidden import graphics
from tests.attacks.hidden.lettering import Plane
from tests.attacks.hidden.payloads import Half
from tests.attacks.hidden.plans import LARGEST, SMALLEST
from tests.attacks.hidden.scenes import Size, blur, photo

Drawing = Callable[[Size, np.random.Generator, Half], Image.Image]


def as_image(pixels: Plane) -> Image.Image:
    """RGB picture of float32 pixels (rows, columns, 3), rounded and clipped."""
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _photo(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    return as_image(photo(size, rng, half)[0])


def _jpeg_photo(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    buffer = io.BytesIO()
    _photo(size, rng, half).save(buffer, "JPEG", quality=int(rng.integers(45, 96)))
    return Image.open(buffer).convert("RGB")


def _sharpened(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    pixels, _ = photo(size, rng, half)
    return as_image(pixels + np.float32(rng.uniform(0.8, 3)) * (pixels - blur(pixels, rng.uniform(0.8, 2))))


def _noisy(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    pixels, _ = photo(size, rng, half)
    grain = rng.standard_normal((size[1], size[0], 1 if rng.random() < 0.5 else 3), np.float32)
    return as_image(pixels + np.float32(rng.uniform(8, 30)) * grain)


def _upscaled(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    factor = float(rng.uniform(1.5, 4))
    small = _photo((round(size[0] / factor), round(size[1] / factor)), rng, half)
    methods = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.NEAREST
    return small.resize(size, methods[int(rng.integers(4))])


def _halftone(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    pixels, _ = photo(size, rng, half)
    pitch = float(rng.uniform(3, 10))
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    printed = np.empty_like(pixels)
    single = rng.random() < 0.5
    for index in range(3):
        angle = np.deg2rad(45 if single else (15, 75, 45)[index] + rng.uniform(-3, 3))
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        screen = 127.5 + 63.75 * (np.cos(2 * np.pi * u / pitch) + np.cos(2 * np.pi * v / pitch))
        tone = pixels.mean(axis=2) if single else pixels[..., index]
        printed[..., index] = np.clip((tone - screen) * 6 + 127, 0, 255)
    return as_image(printed)


def _ordered_dither(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    pixels, _ = photo(size, rng, half)
    order = int(rng.integers(1, 4))
    bayer = np.zeros((1, 1), np.float32)
    for _ in range(order):
        bayer = np.block([[4 * bayer, 4 * bayer + 2], [4 * bayer + 3, 4 * bayer + 1]])
    threshold = np.tile((bayer + 0.5) / bayer.size - 0.5, (size[1] // len(bayer) + 1, size[0] // len(bayer) + 1))
    step = 255 / int(rng.integers(1, 4))
    shifted = pixels / step + threshold[: size[1], : size[0], None].astype(np.float32)
    return as_image(np.asarray(np.rint(shifted) * step, np.float32))


def _diffusion_dither(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    small = _photo((size[0] // 2, size[1] // 2), rng, half) if rng.random() < 0.3 else _photo(size, rng, half)
    if rng.random() < 0.5:
        dithered = small.convert("1").convert("RGB")
    else:
        dithered = small.quantize(int(rng.integers(4, 24)), dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
    return dithered.resize(size, Image.Resampling.NEAREST)


def _screen_door(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    pixels, _ = photo(size, rng, half)
    pitch = int(rng.integers(2, 9))
    gain = np.float32(rng.uniform(0, 0.6))
    pixels[::pitch] *= gain
    if rng.random() < 0.7:
        pixels[:, ::pitch] *= gain
    return as_image(pixels)


def _wave(size: Size, period: float, angle: float) -> Plane:
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    return np.asarray(np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period), np.float32)


def _two_colours(value: Plane, rng: np.random.Generator) -> Image.Image:
    """A -1..1 plane painted between a dark and a light colour."""
    dark, light = rng.uniform(0, 90, 3).astype(np.float32), rng.uniform(150, 255, 3).astype(np.float32)
    return as_image(np.asarray(dark + (value[..., None] + 1) / 2 * (light - dark), np.float32))


def _stripes(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    period = float(rng.uniform(2.2, 9) if half == "train" else rng.uniform(3, 20))
    wave = _wave(size, period, float(rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])))
    return _two_colours(np.sign(wave).astype(np.float32) if rng.random() < 0.5 else wave, rng)


def _checker(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    cell = int(rng.integers(1, 9) if half == "train" else rng.integers(2, 17))
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    return _two_colours(np.asarray(((x // cell + y // cell) % 2) * 2.0 - 1, np.float32), rng)


def _fabric(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    pitch = int(rng.integers(3, 8) if half == "train" else rng.integers(5, 13))
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    over = ((x // pitch + (y // pitch) * (1 if half == "train" else 2)) % 4 < 2).astype(np.float32)
    warp, weft = np.abs(np.sin(np.pi * x / pitch)), np.abs(np.sin(np.pi * y / pitch))
    thread = over * warp + (1 - over) * weft * 0.8
    uneven = rng.standard_normal((size[1], size[0]), np.float32) * 0.12
    return _two_colours(blur(np.asarray(np.clip(thread + uneven, 0, 1) * 2 - 1, np.float32), 0.6), rng)


def _zone_plate(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    far = (x - size[0] * rng.uniform(0.2, 0.8)) ** 2 + (y - size[1] * rng.uniform(0.2, 0.8)) ** 2
    rate = rng.uniform(0.6, 1.0) if half == "train" else rng.uniform(0.3, 0.7)
    return _two_colours(np.asarray(np.cos(np.pi * rate * far / max(size)), np.float32), rng)


def _pixel_art(size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    cell = int(rng.integers(4, 13))
    small = _photo((size[0] // cell, size[1] // cell), rng, half).quantize(int(rng.integers(6, 20)))
    return small.convert("RGB").resize(size, Image.Resampling.NEAREST)


NATURAL: dict[str, Drawing] = {
    "photo": _photo,
    "photo_jpeg": _jpeg_photo,
    "sign": graphics.sign,
    "screenshot": graphics.screenshot,
    "code": graphics.code,
    "table": graphics.table,
    "meme": graphics.meme,
}
HARD: dict[str, Drawing] = {
    "photo_sharpened": _sharpened,
    "photo_noisy": _noisy,
    "photo_upscaled": _upscaled,
    "halftone": _halftone,
    "ordered_dither": _ordered_dither,
    "diffusion_dither": _diffusion_dither,
    "screen_door": _screen_door,
    "stripes": _stripes,
    "checker": _checker,
    "fabric": _fabric,
    "zone_plate": _zone_plate,
    "line_art": graphics.line_art,
    "pixel_art": _pixel_art,
}
KINDS = (*NATURAL, *HARD)


def draw(kind: str, size: Size, rng: np.random.Generator, half: Half) -> Image.Image:
    """An RGB picture of the kind with exactly this (width, height)."""
    return (NATURAL.get(kind) or HARD[kind])(size, rng, half)


def benign(kind: str, rng: np.random.Generator, half: Half = "train") -> Image.Image:
    """An RGB picture of one of `KINDS`, each side 512 to 1280 px."""
    width = int(rng.integers(SMALLEST, LARGEST + 1))
    height = int(np.clip(round(width * float(rng.choice([0.56, 0.67, 0.75, 1, 1.33]))), SMALLEST, LARGEST))
    return draw(kind, (width, height), rng, half)
