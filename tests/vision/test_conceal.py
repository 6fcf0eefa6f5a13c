from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from guardrail.errors import PictureError
from guardrail.settings import Limits
from guardrail.signals import DecodedPicture, Picture
from guardrail.vision.conceal import CELLS, MARGIN, Region, Way, concealed, hide, still
from guardrail.vision.decode import decode
from tests.vision.containers import made
from tests.vision.files import SAMPLES, drawing, encoded, exif, png_texts, segment

WAYS: tuple[Way, ...] = ("blur", "pixelate")
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")


def _decode(data: bytes) -> DecodedPicture:
    return decode(Picture(data), Limits())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("format", FORMATS)
def test_the_copy_has_the_format_and_the_rest_of_the_picture(format: str, way: Way) -> None:
    drawn = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (80, 1))
    drawn[34:42, 44:52] = np.indices((8, 8)).sum(axis=0) // 4 % 2 * 255
    source = _decode(encoded(Image.fromarray(drawn).convert("RGB"), format))
    data, skipped = concealed(source, [Region(0, (40, 30, 16, 16), way)])
    copy = _decode(data)
    assert (copy.format, copy.width, copy.height, skipped) == (source.format, 96, 80, ())
    change = np.abs(copy.frames[0].rgb.astype(int) - source.frames[0].rgb).max(axis=2)
    assert change[:20].mean() < 6
    assert change[30:46, 40:56].mean() > 12


def test_metadata_and_hidden_pictures_are_left_behind() -> None:
    noted = encoded(drawing(), "PNG", pnginfo=png_texts(tnote="a telling remark"), exif=exif())
    source = _decode(noted + encoded(drawing(2, size=(9, 9)), "JPEG") + b"more words at the end")
    data, _ = concealed(source, [Region(0, (4, 4, 9, 9), "blur")])
    copy = _decode(data)
    assert (copy.texts, copy.notes, len(copy.frames)) == ((), (), 1)
    assert (copy.width, copy.height) == (source.width, source.height) == (40, 50)


def test_credentials_that_do_not_hold_any_more_are_told() -> None:
    jpeg = encoded(drawing(), "JPEG")
    source = _decode(jpeg[:2] + made.app11(made.store("c2pa.created by a tool")) + jpeg[2:])
    data, skipped = concealed(source, [Region(0, (4, 4, 9, 9), "blur")])
    assert [item.what for item in skipped] == ["picture.c2pa"]
    assert b"jumb" not in data


def test_transparency_stays() -> None:
    source = _decode(encoded(drawing(alpha=True), "PNG"))
    data, _ = concealed(source, [Region(0, (4, 4, 9, 9), "pixelate")])
    with Image.open(io.BytesIO(data)) as copy:
        assert copy.mode == "RGBA"


@pytest.mark.parametrize("name", ["apng", "gif", "webp", "avif-sequence"])
def test_animations_are_refused(name: str) -> None:
    source = _decode(SAMPLES[name])
    assert not still(source)
    with pytest.raises(PictureError) as caught:
        concealed(source, [])
    assert (caught.value.reason, bool(caught.value.advice)) == ("animated", True)


def test_a_picture_with_a_thumbnail_is_no_animation() -> None:
    jpeg = encoded(drawing(), "JPEG")
    noted = jpeg[:2] + segment(0xED, b"Photoshop 3.0\x00" + made.photoshop("a caption", jpeg)) + jpeg[2:]
    source = _decode(noted)
    assert len(source.frames) == 2
    assert still(source)


def test_regions_of_a_frame_of_another_size_are_no_regions_of_the_picture() -> None:
    source = _decode(encoded(drawing(), "PNG") + encoded(drawing(2, size=(9, 9)), "PNG"))
    untouched, _ = concealed(source, [Region(1, (0, 0, 9, 9), "blur"), Region(7, (0, 0, 9, 9), "blur")])
    assert np.array_equal(_decode(untouched).frames[0].rgb, source.frames[0].rgb)
    twin = replace(source, frames=(source.frames[0], replace(source.frames[0], index=1)))
    changed, _ = concealed(twin, [Region(1, (0, 0, 9, 9), "blur")])
    assert not np.array_equal(_decode(changed).frames[0].rgb, source.frames[0].rgb)


@pytest.mark.parametrize("way", WAYS)
@given(
    box=st.tuples(st.integers(-30, 90), st.integers(-30, 90), st.integers(1, 120), st.integers(1, 120)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_any_box_is_hidden_inside_the_picture(way: Way, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    before = rgb.copy()
    hide(rgb, box, way)
    x, y, wide, high = box
    left, top = max(0, round(x - MARGIN * wide)), max(0, round(y - MARGIN * high))
    outside = np.ones(rgb.shape[:2], bool)
    outside[top : max(0, round(y + high * (1 + MARGIN))), left : max(0, round(x + wide * (1 + MARGIN)))] = False
    assert np.array_equal(rgb[outside], before[outside])


def test_a_mosaic_has_few_cells_whatever_the_size() -> None:
    for side in (20, 400):
        rgb = np.random.default_rng(2).integers(0, 256, (side, side, 3), dtype=np.uint8)
        hide(rgb, (0, 0, side, side), "pixelate")
        assert len(np.unique(rgb.reshape(-1, 3), axis=0)) <= CELLS * CELLS
