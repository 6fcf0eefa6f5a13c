from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from guardrail.settings import Limits
from guardrail.signals import RGB, Picture
from guardrail.testing import drawn_picture
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import pdq
from guardrail.vision.fingerprint.pdq import TURNS, dihedral, luma

VECTORS = Path("../shared/eval/pictures/pdq_vectors")
TOLERANCE = 12
"""Bits that decoders, resizing and rounding of the reference implementations are apart."""


def theirs(rgb: RGB) -> tuple[NDArray[np.uint8], int]:
    """What the authors' code gives."""
    bits, quality = pdqhash.compute(np.ascontiguousarray(rgb))
    return np.packbits(np.asarray(bits, dtype=np.uint8)), int(quality)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 600), st.integers(5, 600), st.integers(0, 1_000))
def test_every_turn_is_what_the_authors_code_gives_for_the_turned_picture(width: int, height: int, seed: int) -> None:
    drawn = Image.fromarray(decode(Picture(drawn_picture(str(seed))), Limits()).frames[0].rgb).resize((width, height))
    rgb = np.asarray(drawn)
    found, quality = dihedral(luma(rgb))
    flip, mirror, across = rgb[::-1], rgb[:, ::-1], rgb.transpose(1, 0, 2)
    both = flip[:, ::-1]
    turned = (rgb, np.rot90(rgb), both, np.rot90(rgb, 3), flip, mirror, across, both.transpose(1, 0, 2))
    apart = [int(np.bitwise_count(found[at] ^ theirs(item)[0]).sum()) for at, item in enumerate(turned)]
    # sums in another order may tip a frequency that lies on the median
    assert max(apart) <= 2
    assert abs(quality - theirs(rgb)[1]) <= 1
    assert len(TURNS) == len(found)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (64, 64), (65, 129)])
def test_pictures_of_any_size_have_a_hash(size: tuple[int, int]) -> None:
    for level in (0, 255):
        found, quality = dihedral(luma(np.full((*size, 3), level, dtype=np.uint8)))
        assert found.shape == (8, 32)
        assert quality == 0


@pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/eval is not here")
def test_public_vectors_come_out_within_the_tolerance() -> None:
    measured = {}
    for row in csv.DictReader((VECTORS / "expected.csv").read_text(encoding="utf-8").splitlines()):
        path = VECTORS / row["path"].replace("/", "__")
        expected = [row[name] for name in ("expected_python_test", "expected_wasm_test") if row[name]]
        if not path.is_file() or not expected:
            continue
        found, quality = pdq(decode(Picture(path.read_bytes()), Limits()))
        bits = [int(np.bitwise_count(found ^ np.frombuffer(bytes.fromhex(text), np.uint8)).sum()) for text in expected]
        measured[row["path"]] = (min(bits), quality)
    assert len(measured) >= 25
    far = {path: bits for path, (bits, quality) in measured.items() if bits > TOLERANCE and quality >= 50}
    assert far == {}
