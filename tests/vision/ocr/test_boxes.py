from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.vision.ocr.boxes import feed


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_pictures_are_fed_blue_first_from_minus_one_to_one(high: int, wide: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (high, wide, 3), dtype=np.uint8)
    expected = (rgb[..., ::-1] / 127.5 - 1.0).transpose(2, 0, 1)[None]
    found = feed(rgb)
    assert found.shape == (1, 3, high, wide)
    assert found.flags.c_contiguous
    assert np.abs(found - expected).max() < 1e-6
