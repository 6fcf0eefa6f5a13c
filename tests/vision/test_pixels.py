from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from guardrail.vision.pixels import orient, see
from tests.vision.files import drawing


def _stored(picture: Image.Image, format: str = "PNG", **options: object) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, format, **options)
    loaded = Image.open(io.BytesIO(data.getvalue()))
    loaded.load()
    return loaded


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_plain_modes_match_pillow(mode: str) -> None:
    picture = drawing().convert(mode)
    assert np.array_equal(see(_stored(picture)).rgb, np.asarray(picture.convert("RGB")))


def test_sixteen_bits_keep_their_high_byte() -> None:
    deep = (np.arange(256, dtype=np.uint16) * 256 + 77).reshape(16, 16)
    seen = see(_stored(Image.fromarray(deep)))
    assert np.array_equal(seen.rgb[..., 0], (deep >> 8).astype(np.uint8))
    assert seen.alpha is None


def test_sixteen_bit_grey_with_a_transparent_level() -> None:
    deep = np.full((8, 8), 1000, dtype=np.uint16)
    deep[:4] = 0
    seen = see(_stored(Image.fromarray(deep), transparency=1000))
    assert seen.alpha is not None
    assert (seen.rgb[4:] == 255).all()
    assert (seen.rgb[:4] == 0).all()


def test_cmyk_keeps_its_colours() -> None:
    red = Image.new("RGB", (32, 32), (220, 30, 30)).convert("CMYK")
    seen = see(_stored(red, "JPEG", quality=95)).rgb.reshape(-1, 3).mean(axis=0)
    assert np.abs(seen - (220, 30, 30)).max() < 12


def test_transparency_lies_over_white() -> None:
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    rgba[:2] = (200, 100, 0, 128)
    seen = see(_stored(Image.fromarray(rgba)))
    assert (seen.rgb[2:] == 255).all()
    assert seen.rgb[0, 0].tolist() == [227, 177, 127]


def test_palette_with_alpha() -> None:
    picture = drawing().quantize(4)
    seen = see(_stored(picture, transparency=bytes([0, 255, 255, 255])))
    hidden = np.asarray(picture) == 0
    assert seen.alpha is not None
    assert (seen.alpha[hidden] == 0).all()
    assert (seen.rgb[hidden] == 255).all()


def test_a_picture_under_transparency_is_found() -> None:
    rgba = np.asarray(drawing(alpha=True)).copy()
    rgba[..., 3] = 0
    seen = see(Image.fromarray(rgba))
    assert (seen.rgb == 255).all()
    assert seen.beneath is not None
    assert np.array_equal(seen.beneath, rgba[..., :3])


def test_a_picture_in_the_alpha_alone_is_found() -> None:
    rgba = np.full((40, 50, 4), 255, dtype=np.uint8)
    rgba[..., 3] = np.asarray(drawing().convert("L"))
    seen = see(Image.fromarray(rgba))
    assert (seen.rgb == 255).all()
    assert seen.beneath is not None
    assert np.array_equal(seen.beneath[..., 0], rgba[..., 3])


def test_an_ordinary_cut_out_hides_nothing() -> None:
    rgba = np.zeros((40, 50, 4), dtype=np.uint8)
    rgba[10:30, 10:40] = (10, 200, 30, 255)
    assert see(Image.fromarray(rgba)).beneath is None


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 5))
def test_every_turn_can_be_undone(orientation: int, height: int, width: int) -> None:
    pixels = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    assert np.array_equal(orient(orient(pixels, orientation), back), pixels)
