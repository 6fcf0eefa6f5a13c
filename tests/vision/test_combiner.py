from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ModelIntegrityError
from guardrail.vision.combiner import ODDS, SAFETY_ORDINARY, SAFETY_PHOTO, SHAPES, Heads, combine, graphic, medium
from tests.vision.tiny import NudityModels, art_features_for, features_for

SHARES = st.floats(0, 1)
LOGITS = st.floats(-30, 30)


def test_even_point() -> None:
    assert combine(ODDS, SAFETY_ORDINARY) == pytest.approx(0.5)


@given(SHARES)
def test_image_safety_alone_never_reaches_an_even_call(share: float) -> None:
    """It takes clothed women for bare ones; of a picture the head finds ordinary it decides nothing."""
    assert combine(-0.5, share) < 0.5


@given(LOGITS, LOGITS, SHARES, SHARES)
def test_score_rises_with_each_net(low: float, high: float, less: float, more: float) -> None:
    low, high, less, more = *sorted((low, high)), *sorted((less, more))
    assert 0 <= combine(low, less) <= combine(high, less) <= combine(high, more) <= 1


@given(SHARES, SHARES)
def test_gore_rises_with_its_net(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert 0 <= graphic(low) <= graphic(high) <= 1


def test_gore_corners() -> None:
    assert graphic(0.85) == pytest.approx(0.5)
    assert graphic(0.35) == pytest.approx(0.2, abs=0.01)


@given(LOGITS, SHARES)
def test_unsure_is_no_art(art: float, nsfw: float) -> None:
    if art <= 0 or nsfw >= SAFETY_PHOTO:
        assert medium(art, nsfw) == "photo"


def test_heads_read_what_they_were_given() -> None:
    heads = Heads(NudityModels())
    assert heads.read(np.stack([features_for(2.5), features_for(-4.0)])).bare == pytest.approx([2.5, -4.0], abs=0.05)
    assert heads.art(np.stack([art_features_for(-1.0), art_features_for(1.0)])) == pytest.approx([-1, 1], abs=0.05)


class _Replaced(NudityModels):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def file(self, name: str, file: str | None = None) -> Path:
        return self._path


@pytest.mark.parametrize("wrong", ["shape", "number", "missing", "no archive"])
def test_other_heads_are_a_typed_error(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "heads.npz"
    arrays: dict[str, Any] = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    if wrong == "shape":
        arrays["art"] = np.zeros(7)
    elif wrong == "number":
        arrays["bare"][5] = np.nan
    elif wrong == "missing":
        del arrays["upright"]
    np.savez(path, **arrays)
    if wrong == "no archive":
        path.write_bytes(b"no archive")
    with pytest.raises(ModelIntegrityError):
        Heads(_Replaced(path))
