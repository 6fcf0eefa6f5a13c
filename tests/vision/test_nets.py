from __future__ import annotations

import numpy as np
import pytest

from guardrail.errors import DetectionError
from guardrail.vision.nets import probabilities, run
from tests.vision.tiny import TinyModels, constant_net

FEED = {"input": np.zeros((2, 3), dtype=np.float32)}


def _answering(*values: float) -> TinyModels:
    return TinyModels(net=constant_net("input", [3], [np.array(values, dtype=np.float32)]))


def test_probabilities_come_through() -> None:
    found = probabilities(_answering(0.25, 0.75).session("net"), "net", FEED, 2)
    assert found.tolist() == [[0.25, 0.75], [0.25, 0.75]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_a_fault(value: float) -> None:
    with pytest.raises(DetectionError, match="not finite"):
        run(_answering(0.5, value).session("net"), "net", FEED)


@pytest.mark.parametrize("values", [(0.5,), (0.5, 1.5), (-0.5, 0.5), (0.1, 0.2, 0.3)])
def test_what_is_no_probability_is_a_fault(values: tuple[float, ...]) -> None:
    with pytest.raises(DetectionError):
        probabilities(_answering(*values).session("net"), "net", FEED, 2)
