from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from guardrail.errors import ConfigurationError, PictureError
from guardrail.settings import Limits
from guardrail.signals import DecodedPicture, Picture
from guardrail.vision.decode import decode
from tests.vision.files import HEIGHT, SAMPLES, WIDTH, animation, drawing, encoded, exif, png_texts


def _decode(data: bytes, **limits: float) -> DecodedPicture:
    return decode(Picture(data), Limits.model_validate(limits))


def _reason(data: bytes, **limits: float) -> str:
    with pytest.raises(PictureError) as caught:
        _decode(data, **limits)
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "frames", "turned"),
    [
        ("png", 1, False),
        ("apng", 3, False),
        ("jpeg", 1, True),
        ("progressive", 1, False),
        ("mpo", 3, False),
        ("gif", 3, False),
        ("webp", 3, False),
        ("webp-still", 1, True),
        ("avif", 1, True),
        ("avif-sequence", 3, False),
    ],
)
def test_every_kind_with_every_frame(name: str, frames: int, turned: bool) -> None:
    found = _decode(SAMPLES[name])
    assert [frame.index for frame in found.frames] == list(range(frames))
    assert (found.width, found.height) == ((HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT))
    for frame in found.frames:
        assert frame.rgb.shape == (found.height, found.width, 3)
        assert frame.rgb.dtype == np.uint8


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_lossless_frames_are_the_pixels_that_went_in(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    found = _decode(animation(format, 4, **options))
    for seed, frame in enumerate(found.frames):
        assert np.array_equal(frame.rgb, np.asarray(drawing(seed)))


def test_default_image_of_an_animation_is_looked_at() -> None:
    data = encoded(drawing(0), "PNG", save_all=True, default_image=True, append_images=[drawing(1), drawing(2)])
    assert len(_decode(data).frames) == 3


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_how_long_a_frame_is_shown_is_told(format: str) -> None:
    found = _decode(animation(format, 3, duration=[120, 2500, 40]))
    assert [frame.seconds for frame in found.frames] == [0.12, 2.5, 0.04]
    assert [frame.seconds for frame in _decode(animation(format, 2, duration=0)).frames] == [0.1, 0.1]
    assert _decode(encoded(drawing(0), format)).frames[0].seconds is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int) -> None:
    upright = np.zeros((24, 16, 3), dtype=np.uint8)
    upright[:8, :8] = (255, 0, 0)
    block = Image.Exif()
    block[0x0112] = orientation
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    found = _decode(encoded(stored, "PNG", exif=block.tobytes()))
    assert np.array_equal(found.frames[0].rgb, upright)
    assert found.orientation == orientation


def test_texts_and_notes_are_carried() -> None:
    found = _decode(encoded(drawing(), "PNG", pnginfo=png_texts(tnote="hello there"), exif=exif()) + b"more at the end")
    assert {text.where for text in found.texts} == {"png:tEXt", "exif", "exif:UserComment", "trailing"}
    assert [note.what for note in found.notes] == ["picture.trailing"]


def test_alpha_is_of_the_first_frame_and_turned_with_it() -> None:
    found = _decode(SAMPLES["webp-still"])
    assert found.alpha is not None
    assert found.alpha.shape == (found.height, found.width)
    assert found.frames[0].beneath is not None
    assert _decode(SAMPLES["jpeg"]).alpha is None


def test_limits() -> None:
    data = SAMPLES["png"]
    assert _reason(data, max_picture_bytes=len(data) - 1) == "too_many_bytes"
    assert _reason(data, max_pixels=WIDTH * HEIGHT - 1) == "too_many_pixels"
    assert _reason(data, max_ratio=1.2) == "ratio"
    assert _reason(SAMPLES["gif"], max_total_pixels=3 * WIDTH * HEIGHT - 1) == "too_many_pixels"
    assert _reason(SAMPLES["mpo"], max_total_pixels=3 * WIDTH * HEIGHT - 1) == "too_many_pixels"
    for name in ("apng", "mpo", "gif", "webp", "avif-sequence"):
        assert _reason(SAMPLES[name], max_frames=2) == "too_many_frames"
    exact = {"max_picture_bytes": len(data), "max_pixels": WIDTH * HEIGHT, "max_total_pixels": WIDTH * HEIGHT}
    assert _decode(data, **exact, max_frames=1).frames


def test_one_pixel_is_a_picture() -> None:
    found = _decode(encoded(drawing(size=(1, 1)), "PNG"))
    assert (found.width, found.height) == (1, 1)


def test_leniency_elsewhere_in_the_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ConfigurationError):
        _decode(SAMPLES["png"])


@pytest.mark.parametrize("name", SAMPLES)
@settings(deadline=None)
@given(data=st.data())
def test_any_change_is_survived(name: str, data: st.DataObject) -> None:
    changed = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(changed)) | st.just(len(changed)))
    try:
        frames = len(_decode(bytes(changed[:cut]), max_pixels=1_000_000).frames)
    except PictureError:
        frames = -1
    assert frames != 0
