from __future__ import annotations

import struct

import numpy as np
import pytest

from guardrail.settings import Limits
from guardrail.signals import Picture
from guardrail.vision.colour import MAX_PROFILE_BYTES, Renderer
from guardrail.vision.decode import decode
from tests.vision.files import drawing, encoded, with_chunk
from tests.vision.profiles import ADOBE, PROPHOTO, SRGB, curve, profile

PIXELS = np.asarray(drawing())


@pytest.mark.parametrize(("primaries", "exponent"), [(SRGB, 2.2), (ADOBE, 2.2), (PROPHOTO, 1.8)])
def test_ordinary_profiles_change_nothing(primaries: tuple[tuple[float, ...], ...], exponent: float) -> None:
    renderer = Renderer(profile(primaries, curve(exponent)), None)
    assert renderer.render(PIXELS) is None
    assert not renderer.fault


def test_a_profile_that_makes_another_picture_is_applied() -> None:
    shown = Renderer(profile(SRGB, curve(2.2)[::-1]), None).render(PIXELS)
    assert shown is not None
    assert np.corrcoef(shown.ravel(), PIXELS.ravel())[0, 1] < -0.9


@pytest.mark.parametrize(
    "icc", [b"x" * (MAX_PROFILE_BYTES + 1), profile(SRGB, curve(2.2)).replace(b"RGB XYZ ", b"GRAYXYZ ")]
)
def test_a_profile_that_is_not_applied_is_told(icc: bytes) -> None:
    renderer = Renderer(icc, None)
    assert renderer.render(PIXELS) is None
    assert "applied" in renderer.fault


def test_a_broken_profile_is_told() -> None:
    renderer = Renderer(b"no profile at all", None)
    assert renderer.render(PIXELS) is None
    assert "profile" in renderer.fault


@pytest.mark.parametrize(("gamma", "shown"), [(0.45455, False), (0.5, False), (0.05, True), (5.0, True)])
def test_gamma_is_applied_when_it_makes_another_picture(gamma: float, shown: bool) -> None:
    assert (Renderer(b"", gamma).render(PIXELS) is not None) is shown


def test_both_pictures_become_frames() -> None:
    plain = encoded(drawing(), "PNG")
    found = decode(Picture(with_chunk(plain, b"gAMA", struct.pack(">I", 2_000))), Limits())
    assert len(found.frames) == 2
    assert np.array_equal(found.frames[0].rgb, PIXELS)
    assert not np.array_equal(found.frames[1].rgb, PIXELS)
    found = decode(Picture(encoded(drawing(), "JPEG", icc_profile=profile(SRGB, curve(2.2)[::-1]))), Limits())
    assert len(found.frames) == 2
    found = decode(Picture(encoded(drawing(), "PNG", icc_profile=b"broken")), Limits())
    assert [note.what for note in found.notes] == ["picture.colour"]
