"""Attackers who know the guard: windows of a picture, not the whole, and residuals shaped against its statistics.

A pipeline may cut a square out of a picture, or lay it on one, before it scales: then the pixels that are read lie on
no lattice of the whole picture. And who knows that the pixels between are compared writes to those as well: grain, or
another text, which the kernel does not see. Or keeps the payload faint.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.attacks.hidden import kernels, lettering, plans, scaling
from tests.attacks.hidden.lettering import Plane
from tests.attacks.hidden.payloads import Half, harmless
from tests.attacks.hidden.plans import Plan

Window = Literal["crop", "pad"]
Shape = Literal["grain", "decoy", "faint"]
WINDOWS: tuple[Window, ...] = get_args(Window)
SHAPES: tuple[Shape, ...] = get_args(Shape)
_PAD = (122, 116, 104)
"""The mean colour that assistants lay around a picture to make it square."""
_ASPECTS = (4 / 3, 3 / 2, 16 / 9, 3 / 4, 2 / 3)
_GRAIN, _FAINT = 0.35, (22.0, 38.0)


def windowed(pixels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """RGB pixels of the square in the middle of a picture, or of the square that it lies in the middle of."""
    rows, columns = pixels.shape[:2]
    if window == "crop":
        side = min(rows, columns)
        top, left = (rows - side) // 2, (columns - side) // 2
        return np.ascontiguousarray(pixels[top : top + side, left : left + side])
    side = max(rows, columns)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = _PAD
    top, left = (side - rows) // 2, (side - columns) // 2
    square[top : top + rows, left : left + columns] = pixels
    return square


def _put_back(square: NDArray[np.uint8], pixels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """The picture whose window is the square, as far as it lies in the picture."""
    rows, columns = pixels.shape[:2]
    side = len(square)
    top, left = abs(side - rows) // 2, abs(side - columns) // 2
    if window == "crop":
        whole = pixels.copy()
        whole[top : top + side, left : left + side] = square
        return whole
    return np.ascontiguousarray(square[top : top + rows, left : left + columns])


def sizes(rng: np.random.Generator, window: Window) -> tuple[tuple[int, int], int, int]:
    """A picture that is not square (width, height), the side of its window, and a side that models take."""
    while True:
        target = int(rng.choice((224, 256, 299, 336, 384, 448)))
        side = round(target * float(np.exp(rng.uniform(np.log(1.6), np.log(5)))))
        aspect = float(rng.choice(_ASPECTS))
        long, short = max(aspect, 1 / aspect), 1.0
        scale = side if window == "crop" else side / long
        size = round(scale * long), round(scale * short)
        size = size if aspect > 1 else (size[1], size[0])
        if min(size) >= 400 and max(size) <= 1600:
            return size, (min if window == "crop" else max)(size), target


def cropped(cover: Image.Image, plan: Plan, window: Window, half: Half, rng: np.random.Generator) -> scaling.Attack:
    """A sparse attack on a window of the cover; the plan's size is that of the window."""
    pixels = np.asarray(cover)
    attack = scaling.sparse(Image.fromarray(windowed(pixels, window)), plan, half, rng)
    whole = _put_back(scaling.pixels_of(attack.image), pixels, window)
    # measured in the window, of what is left of it in the picture
    seen = replace(attack, image=Image.fromarray(windowed(whole, window)))
    attack.details.update(
        window=window,
        shown=round(scaling.shown(seen), 3),
        legible=round(scaling.legible(seen), 3),
        plain=round(scaling.plain(seen), 3),
    )
    return replace(attack, family="cropped", image=Image.fromarray(whole))


def works(attack: scaling.Attack) -> bool:
    """As `scaling.works`, by what was measured when the attack was made."""
    details = {name: float(str(attack.details[name])) for name in ("shown", "legible", "psnr")}
    enough = details["shown"] >= scaling.SHOWN and details["legible"] >= scaling.LEGIBLE
    return enough and details["psnr"] >= scaling.LEAST_PSNR


def window_plan(rng: np.random.Generator, window: Window) -> tuple[Plan, tuple[int, int]]:
    """A plan for a window and the size of the picture around or inside it."""
    size, side, target = sizes(rng, window)
    drawn = plans.draw("sparse", rng)
    return replace(drawn, size=(side, side), target=(target, target), fit="exact"), size


def shaped(cover: Image.Image, plan: Plan, shape: Shape, half: Half, rng: np.random.Generator) -> scaling.Attack:
    """A sparse attack whose pixels between those that are read carry grain or another text, or one that is faint."""
    if shape == "faint":
        plan = replace(plan, contrast=float(rng.uniform(*_FAINT)), channel="luma")
    attack = scaling.sparse(cover, plan, half, rng)
    if shape != "faint":
        between = (_grain if shape == "grain" else _decoy)(attack, plan, half, rng)
        unseen = kernels.without_view(between, plan.target, plan.kernel)
        pixels = scaling.pixels_of(attack.image).astype(np.float32) + unseen[..., None]
        attack = scaling.finished(attack, pixels, np.asarray(cover))
    attack.details.update(shape=shape)
    return replace(attack, family="shaped")


def _grain(attack: scaling.Attack, plan: Plan, half: Half, rng: np.random.Generator) -> Plane:
    """White noise over the text block and some room."""
    noise = rng.standard_normal((plan.size[1], plan.size[0]), np.float32) * np.float32(_GRAIN * plan.contrast)
    return np.asarray(noise * _covered(attack, plan), np.float32)


def _covered(attack: scaling.Attack, plan: Plan) -> Plane:
    steps = plan.size[0] / plan.target[0], plan.size[1] / plan.target[1]
    left, top, right, bottom = attack.box
    inside = np.zeros((plan.size[1], plan.size[0]), np.float32)
    rows = slice(max(0, round((top - 4) * steps[1])), round((bottom + 4) * steps[1]))
    inside[rows, max(0, round((left - 4) * steps[0])) : round((right + 4) * steps[0])] = 1
    return inside


def _decoy(attack: scaling.Attack, plan: Plan, half: Half, rng: np.random.Generator) -> Plane:
    """Harmless lines as strong as the payload, written for the same size half a period to the side and below."""
    wanted = np.zeros((plan.target[1], plan.target[0]), np.float32)
    left, top, right, bottom = attack.box
    chosen = lettering.pick_face(half, rng, int(rng.integers(12, 20)))
    lines = [harmless(half, rng) for _ in range(max(1, (bottom - top) // (chosen.line + 2)))]
    drawn = lettering.mask(lines, chosen)[: bottom - top, : right - left]
    wanted[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn * plan.contrast * rng.choice([-1, 1])
    change = kernels.least_change(wanted, plan.size, plan.kernel)
    found = np.zeros_like(change)
    half_down, half_right = (max(1, round(plan.size[axis] / plan.target[axis] / 2)) for axis in (1, 0))
    for down, across in ((0, half_right), (half_down, 0), (0, -half_right), (-half_down, 0)):
        found += cv2.warpAffine(
            change, np.array([[1, 0, across], [0, 1, down]], np.float64), (plan.size[0], plan.size[1])
        )
    return found
