"""PNG files with samples of 16 bits: what viewers show, and the lower bytes that none does."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from guardrail.errors import PictureError
from guardrail.settings import Limits
from guardrail.signals import DecodedPicture, Picture
from guardrail.vision.decode import decode
from guardrail.vision.pixels import see
from tests.vision.files import chunk

COUNTS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Samples of a pixel by the PNG's colour type."""
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


def _samples(kind: int, size: tuple[int, int], seed: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 2**16, (*size, COUNTS[kind]), dtype=np.uint16)


def _coded(samples: NDArray[np.uint16], filters: bytes) -> bytes:
    """Rows as PNG filters them: 0 as they are, 1 against the left, 2 against the row above."""
    rows = samples.astype(">u2").view(np.uint8).reshape(len(samples), -1).astype(np.int16)
    step, packed, above = 2 * samples.shape[2], bytearray(), np.zeros(rows.shape[1], np.int16)
    for row, way in zip(rows, filters, strict=False):
        left = np.concatenate([np.zeros(step, np.int16), row[:-step]])
        before = (np.zeros_like(row), left, above)[way % 3]
        packed += bytes([way % 3]) + (row - before).astype(np.uint8).tobytes()
        above = row
    return bytes(packed)


def _png(shape: tuple[int, ...], kind: int, data: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    start = struct.pack(">IIBBBBB", shape[1], shape[0], 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", start), *extra, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in chunks)


def _decoded(data: bytes) -> DecodedPicture:
    return decode(Picture(data), Limits())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(COUNTS)), SIZES, st.integers(0, 2**32 - 1), st.binary(min_size=12, max_size=12))
def test_they_are_seen_as_pillow_sees_them_and_their_lower_bytes_are_kept(
    kind: int, size: tuple[int, int], seed: int, filters: bytes
) -> None:
    samples = _samples(kind, size, seed)
    data = _png(samples.shape, kind, zlib.compress(_coded(samples, filters)))
    found = _decoded(data)
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        seen = see(opened)
    assert np.array_equal(found.frames[0].rgb, seen.rgb)
    assert (found.alpha is None) == (seen.alpha is None)
    if found.alpha is not None and seen.alpha is not None:
        assert np.array_equal(found.alpha, seen.alpha)
    lower = (samples & 255).astype(np.uint8)
    clear = kind in (4, 6)
    expected = {"low-byte": {0: lower[..., 0], 4: lower[..., [0, 0, 0]]}.get(kind, lower[..., :3])}
    if clear:
        expected["low-byte-alpha"] = lower[..., -1]
    low = dict(found.low)
    assert low.keys() <= expected.keys()
    for name, pixels in expected.items():
        if name in low:
            assert np.array_equal(low[name], pixels)
        else:
            part = (-1,) if name.endswith("alpha") else range(COUNTS[kind] - clear)
            assert not pixels.any() or np.array_equal(lower[..., part], (samples >> 8)[..., part])


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(COUNTS)), SIZES, st.integers(0, 2**32 - 1), st.data())
def test_broken_ones_are_never_seen_where_pillow_refuses(
    kind: int, size: tuple[int, int], seed: int, drawn: st.DataObject
) -> None:
    samples = _samples(kind, size, seed)
    data = bytearray(zlib.compress(_coded(samples, bytes(12))))
    for place in drawn.draw(st.lists(st.integers(0, len(data) - 1), max_size=3)):
        data[place] ^= 1 << drawn.draw(st.integers(0, 7))
    broken = _png(samples.shape, kind, bytes(data[: drawn.draw(st.integers(1, len(data)))]))
    try:
        with Image.open(io.BytesIO(broken)) as opened:
            opened.load()
            expected = see(opened).rgb
    except Exception:
        with pytest.raises(PictureError):
            _decoded(broken)
        return
    found = _decoded(broken)
    assert np.array_equal(found.frames[0].rgb, expected)
    # what only Pillow takes has lower bytes that nobody looks at, and the coverage says so
    low = (samples & 255).astype(np.uint8)
    assert "picture.low-bytes" in {note.what for note in found.notes} or not low.any() or found.low


def test_a_colour_that_is_made_transparent_stays_so() -> None:
    samples = np.full((6, 5, 3), 0x1122, np.uint16)
    samples[2:] = 0x3344
    found = _decoded(_png(samples.shape, 2, zlib.compress(_coded(samples, bytes(6))), (b"tRNS", b"\x11\x22" * 3)))
    assert found.alpha is not None
    assert not found.alpha[:2].any()
    assert (found.alpha[2:] == 255).all()
    low = dict(found.low)["low-byte"]
    assert (low[:2] == 0x22).all()
    assert (low[2:] == 0x44).all()


@pytest.mark.parametrize("kind", sorted(COUNTS))
def test_samples_made_of_eight_bits_have_no_lower_bytes(kind: int) -> None:
    samples = _samples(kind, (8, 8), 4) >> 8
    for deep in (np.multiply(samples, 257, dtype=np.uint16), np.multiply(samples, 256, dtype=np.uint16)):
        assert _decoded(_png(deep.shape, kind, zlib.compress(_coded(deep, bytes(8))))).low == ()
