from __future__ import annotations

import cv2
import numpy as np
import pytest

from guardrail.vision.hidden import bands
from guardrail.vision.ocr.boxes import TextBox
from tests.attacks.hidden import covers


def _written(contrast: int, height: int, noise: float = 0.6) -> np.ndarray:
    rng = np.random.default_rng(5)
    grey = rng.normal(120, noise, (240, 480))
    mask = np.zeros((240, 480), np.uint8)
    cv2.putText(mask, "the quiet harbour", (40, 120), cv2.FONT_HERSHEY_SIMPLEX, height / 22, 255, 1, cv2.LINE_AA)
    return np.clip(np.rint(grey + contrast * (mask / 255.0)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("contrast", "height"), [(6, 14), (10, 20), (60, 9), (60, 6), (-60, 16), (4, 40)])
def test_a_faint_or_small_line_is_found_where_it_stands(contrast: int, height: int) -> None:
    found = bands.lines(_written(contrast, height))
    assert found
    assert abs(found[0].centre[1] - (120 - height / 2)) < height / 2
    assert height < found[0].size[1] < 2.2 * height + 4
    assert found[0].size[0] > 3 * height


def test_who_asks_for_less_is_shown_fainter_lines() -> None:
    grey = _written(6, 14, noise=2.5)
    usual, more = bands.lines(grey), bands.lines(grey, least=20)
    assert len(more) > len(usual)
    assert any(abs(box.centre[1] - 113) < 7 for box in more)


def test_photographs_have_few_lines() -> None:
    counts = []
    for seed in range(8):
        picture = covers.benign("photo", np.random.default_rng(seed), "train")
        counts.append(len(bands.lines(np.asarray(picture.convert("L")))))
    assert sum(counts) <= 8


def test_no_more_lines_than_asked_for() -> None:
    page = np.vstack([_written(80, 12)[90:140]] * 12)
    assert len(bands.lines(page, most=4)) == 4


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (400, 5), (40, 40)])
def test_pictures_of_any_size_are_looked_at(shape: tuple[int, int]) -> None:
    assert isinstance(bands.lines(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)), list)


def test_a_line_that_crosses_something_busy_is_one_line() -> None:
    grey = _written(80, 12)
    rng = np.random.default_rng(2)
    grey[90:140, 130:150] = rng.integers(0, 256, (50, 20))
    whole, found = bands.lines(_written(80, 12))[0], bands.lines(grey)[0]
    assert found.size[0] > 0.9 * whole.size[0]
    assert abs(found.centre[0] - whole.centre[0]) < 20


def test_boxes_on_one_line_are_the_same() -> None:
    one = TextBox((100, 50), (80, 20), 0, 1)
    assert bands.same(one, TextBox((120, 53), (60, 18), 0, 1))
    assert not bands.same(one, TextBox((100, 80), (80, 20), 0, 1))
    assert not bands.same(one, TextBox((300, 50), (80, 20), 0, 1))


def test_evening_out_makes_faint_letters_strong() -> None:
    grey = _written(5, 20)
    even = bands.evened(np.repeat(grey[..., None], 3, axis=2))
    assert even.shape == (240, 480, 3)
    assert float(even[100:125, 60:200].std()) > 4 * float(grey[100:125, 60:200].std())
