"""Attackers who know the guard do what their labels say, and are suspected for all that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from guardrail.vision.hidden.scaling import suspects
from tests.attacks.hidden import covers, evasions, kernels, scaling
from tests.attacks.hidden.evasions import SHAPES, WINDOWS, Shape, Window
from tests.attacks.hidden.plans import Plan

SIDE = 224


def _plan(kernel: str, size: tuple[int, int], target: tuple[int, int]) -> Plan:
    return Plan("sparse", kernel, size, target, "exact", 80.0, "luma", "none", 0.0)


def _cropped(window: Window, kernel: str, size: tuple[int, int]) -> scaling.Attack:
    side = (min if window == "crop" else max)(size)
    for attempt in range(20):
        rng = np.random.default_rng((11, attempt))
        cover = covers.draw("photo", size, rng, "train")
        attack = evasions.cropped(cover, _plan(kernel, (side, side), (SIDE, SIDE)), window, "train", rng)
        if evasions.works(attack):
            return attack
    raise AssertionError("no attack works")


def _shaped(shape: Shape, kernel: str) -> tuple[scaling.Attack, Image.Image]:
    for attempt in range(20):
        rng = np.random.default_rng((12, attempt))
        cover = covers.draw("photo", (800, 640), rng, "train")
        attack = evasions.shaped(cover, _plan(kernel, (800, 640), (300, 240)), shape, "train", rng)
        if evasions.works(attack):
            return attack, cover
    raise AssertionError("no attack works")


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", [(901, 640), (640, 901)])
def test_a_square_of_a_picture_and_around_it(window: Window, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    square = evasions.windowed(pixels, window)
    side = (min if window == "crop" else max)(size)
    assert square.shape == (side, side, 3)
    assert (pixels if window == "pad" else square).size < (square if window == "pad" else pixels).size


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kernel", ["pil_nearest", "cv2_cubic"])
def test_what_is_made_for_a_window_shows_there_and_is_suspected(window: Window, kernel: str) -> None:
    attack = _cropped(window, kernel, (902, 640))
    assert isinstance(attack.image, Image.Image)
    assert attack.image.size == (902, 640)
    seen = replace(attack, image=Image.fromarray(evasions.windowed(scaling.pixels_of(attack.image), window)))
    assert scaling.shown(seen) == pytest.approx(float(str(attack.details["shown"])), abs=0.01)
    assert suspects(scaling.pixels_of(attack.image))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", ["pil_nearest", "cv2_linear"])
def test_shaped_attacks_show_their_text_and_are_suspected(shape: Shape, kernel: str) -> None:
    attack, cover = _shaped(shape, kernel)
    assert scaling.shown(attack) > 0.6
    assert (scaling.seen_contrast(attack) < 42) == (shape == "faint")
    pixels = scaling.pixels_of(attack.image)
    assert any(np.abs(np.subtract(view.size, attack.target)).max() <= 1 for view in suspects(pixels))
    if shape != "faint":
        # what was added between the pixels that are read is as strong as the payload, and no view shows it
        added = scaling.channel_of(pixels, "luma") - scaling.channel_of(np.asarray(cover), "luma")
        between = kernels.without_view(added, attack.target, attack.kernel)
        assert float(np.abs(between).max()) > 40
