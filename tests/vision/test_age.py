from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from guardrail.errors import DetectionError
from guardrail.vision.age import CLEARLY_GROWN, age_input, apparent_age, youth
from guardrail.vision.align import EMBED_POINTS
from guardrail.vision.detect import Face
from tests.vision.tiny import TinyModels, constant_net

FACE = Face((20, 20, 90, 90), 0.9, EMBED_POINTS)
RGB = np.full((128, 128, 3), 120, dtype=np.uint8)


def _ager(shares: np.ndarray[tuple[int], np.dtype[np.float32]]) -> TinyModels:
    return TinyModels(age_resnet10=constant_net("images", [3, 64, 64], [shares]))


def test_scores_fall_with_age() -> None:
    assert youth(20) == pytest.approx(0.5)
    assert youth(25) == pytest.approx(0.2, abs=0.01)
    assert all(youth(low) > youth(high) for low, high in pairwise(range(0, 81, 5)))


@pytest.mark.parametrize("years", [20, 40])
def test_age_is_the_expected_one(years: int) -> None:
    shares = np.zeros(81, dtype=np.float32)
    shares[[years - 10, years + 10]] = 0.5
    assert apparent_age(_ager(shares), RGB, FACE) == pytest.approx(years)


class _Counted(TinyModels):
    """An age net that says one age for the first crop and another for the further ones."""

    def __init__(self, *years: int) -> None:
        super().__init__()
        self._answers = list(years)
        self.looks = 0

    def session(self, name: str) -> _Counted:
        return self

    def run(self, inputs: object) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        shares = np.zeros((2, 81), dtype=np.float32)
        shares[:, self._answers[min(self.looks, len(self._answers) - 1)]] = 1
        self.looks += 1
        return [shares]


def test_further_crops_only_make_younger() -> None:
    assert apparent_age(_Counted(25, 17, 17), RGB, FACE) == pytest.approx(17)
    assert apparent_age(_Counted(25, 50, 50), RGB, FACE) == pytest.approx(25)


def test_who_clearly_is_grown_is_looked_at_once() -> None:
    models = _Counted(int(CLEARLY_GROWN) + 1)
    apparent_age(models, RGB, FACE)
    assert models.looks == 1


@pytest.mark.parametrize("share", [0.5, float("nan")])
def test_what_is_no_distribution_is_a_fault(share: float) -> None:
    with pytest.raises(DetectionError):
        apparent_age(_ager(np.full(81, share, dtype=np.float32)), RGB, FACE)


def test_both_flips_are_prepared() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    prepared = age_input(rgb, FACE)
    assert prepared.shape == (2, 3, 64, 64)
    assert np.array_equal(prepared[0], prepared[1, :, :, ::-1])
