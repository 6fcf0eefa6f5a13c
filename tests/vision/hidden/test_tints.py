from __future__ import annotations

import io
from typing import Literal

import numpy as np
import pytest
from PIL import Image, ImageDraw

from guardrail.vision.hidden.scaling import suspects
from guardrail.vision.hidden.tints import CHANNELS, SIDE, apart, tint
from guardrail.vision.ocr.boxes import TextBox
from tests.attacks.hidden import covers, lettering, scaling
from tests.attacks.hidden.plans import Channel
from tests.vision.hidden.test_scaling import attacked, planned

TRAIN: Literal["train"] = "train"


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_stands_in_one_channel_is_named_and_drawn(channel: Channel) -> None:
    attack = attacked(planned("cv2_lanczos4", (660, 600), (440, 400), channel=channel))
    pixels = scaling.pixels_of(attack.image)
    found = tint(pixels, [])
    assert found is not None
    assert found.channel == channel
    assert found.rgb.shape == pixels.shape
    left, top, right, bottom = (round(side * 1.5) for side in attack.box)
    inside = float(found.rgb[top:bottom, left:right].std())
    assert inside > 2 * float(found.rgb[bottom:].std())


def test_lines_that_are_shown_are_not_looked_for_again() -> None:
    attack = attacked(planned("cv2_lanczos4", (660, 600), (440, 400), channel="blue"))
    everywhere = TextBox((330.0, 300.0), (660.0, 600.0), 0.0, 1.0)
    assert tint(scaling.pixels_of(attack.image), [everywhere]) is None


@pytest.mark.parametrize("kind", ["photo", "photo_jpeg", "photo_noisy", "line_art"])
def test_ordinary_pictures_have_no_text_in_one_channel(kind: str) -> None:
    for seed in range(4):
        pixels = np.asarray(covers.benign(kind, np.random.default_rng(seed), TRAIN).convert("RGB"))
        assert tint(pixels, []) is None


@pytest.mark.parametrize("smooth", [False, True])
def test_print_in_colours_is_explained_by_its_other_channels(smooth: bool) -> None:
    """Lines in six colours on papers of six, as a file of little colour has them too."""
    rng = np.random.default_rng(5)
    page = Image.new("RGB", (720, 640))
    pen, face = ImageDraw.Draw(page), lettering.face("DejaVuSans", 15)
    for row, top in enumerate(range(0, 640, 32)):
        papers, inks = rng.integers(140, 256, (6, 3)), rng.integers(0, 130, (6, 3))
        for at in range(6):
            pen.rectangle((at * 120, top, at * 120 + 119, top + 31), fill=tuple(int(level) for level in papers[at]))
            ink = tuple(int(level) for level in inks[at])
            pen.text((at * 120 + 4, top + 6), f"entry {row} of {at}", fill=ink, font=face.font)
    if smooth:
        data = io.BytesIO()
        page.save(data, "JPEG", quality=75, subsampling=2)
        page = Image.open(data).convert("RGB")
    assert tint(np.asarray(page), []) is None


def test_a_grey_payload_is_in_no_channel_alone() -> None:
    attack = attacked(planned("cv2_lanczos4", (660, 600), (440, 400)))
    assert tint(scaling.pixels_of(attack.image), []) is None


def test_a_payload_in_one_channel_is_found_beneath_print() -> None:
    rng = np.random.default_rng((3, 2))
    cover = covers.draw("table", (881, 881), rng, TRAIN)
    attack = scaling.sparse(cover, planned("cv2_cubic", (881, 881), (347, 347), channel="red"), TRAIN, rng)
    views = suspects(apart(scaling.pixels_of(attack.image)), usual=False)
    assert any(np.abs(np.subtract(view.size, attack.target)).max() <= 1 for view in views)
    assert not suspects(apart(np.asarray(cover.convert("RGB"))))


def test_grey_has_no_colour_apart() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (40, 50, 1), dtype=np.uint8).repeat(3, axis=2)
    assert (apart(grey) == 128).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (47, 300, 3), (48, 48, 3), (2100, 1500, 3)])
def test_planes_of_any_shape_are_bounded(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    found = tint(pixels, [])
    assert found is None or max(found.rgb.shape) <= SIDE
