from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.inference import ModelStore
from guardrail.vision.hidden.flat import flat
from guardrail.vision.hidden.written import written
from guardrail.vision.ocr.reader import Reader
from tests.attacks.hidden import covers, lettering

SAID = "water the plants on monday"


def _page(kind: str, seed: int) -> np.ndarray:
    return np.asarray(covers.draw(kind, (800, 640), np.random.default_rng(seed), "train"))


def _mask(shape: tuple[int, ...], top: int = 300, size: int = 36) -> np.ndarray:
    drawn = lettering.mask([SAID], lettering.face("DejaVuSans", size))
    mask = np.zeros(shape[:2], np.float32)
    mask[top : top + drawn.shape[0], 40 : 40 + drawn.shape[1]] = drawn
    return mask


def _faint(rgb: np.ndarray, mask: np.ndarray, levels: float) -> np.ndarray:
    return np.clip(np.rint(rgb + levels * mask[..., None]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_letters_on_flat_ground_are_all_that_is_left_of_a_page(seed: int) -> None:
    page = np.full((640, 800, 3), (244, 248, 251), np.uint8)
    page[:, 500:] = (30, 40, 60)
    page[::40, ::7] = np.random.default_rng(seed).integers(0, 200, 3)
    mask = _mask(page.shape)
    found = flat(_faint(page, mask, -5.0))
    assert found is not None
    apart = np.abs(found.faint.astype(int) - 128)
    assert np.median(apart[(mask > 0.9) & (found.far == 0)]) >= 5 * 8 - 1
    assert not apart[mask == 0].any()


def test_large_faint_letters_are_no_ground_of_their_own() -> None:
    page = np.full((300, 700, 3), 200, np.uint8)
    mask = _mask(page.shape, top=60, size=44)
    found = flat(_faint(page, mask, 8.0))
    assert found is not None
    assert np.abs(found.faint[mask > 0.9].astype(int) - 128).min() >= 32


@pytest.mark.parametrize("kind", ["photo", "sign"])
def test_pictures_of_things_have_no_flat_ground_with_letters(kind: str) -> None:
    assert all(flat(_page(kind, seed)) is None for seed in range(3))


def test_print_alone_leaves_nothing_but_crumbs() -> None:
    for kind in ("table", "screenshot", "meme"):
        for seed in range(3):
            found = flat(_page(kind, seed))
            assert found is None or np.mean(np.abs(found.faint.astype(int) - 128) > 8) < 0.02


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 255), st.integers(-20, 20), st.integers(0, 2**32 - 1))
def test_every_size_and_ground_gives_planes_of_its_shape(
    height: int, width: int, level: int, levels: int, seed: int
) -> None:
    rgb = np.full((height, width, 3), level, np.uint8)
    off = np.random.default_rng(seed).random((height, width)) < 0.4
    rgb[off] = np.clip(level + levels, 0, 255)
    found = flat(rgb)
    if found is not None:
        assert found.faint.shape == found.off.shape == found.far.shape == (height, width)
        assert found.filled(-5, -5, width + 9, height + 9).shape == (height, width)


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.parametrize(("kind", "levels"), [("table", 5.0), ("table", -4.0), ("screenshot", -6.0)])
def test_faint_letters_beneath_the_print_of_a_page_are_read(models: ModelStore, kind: str, levels: float) -> None:
    reader, best = Reader(models), []
    for seed in range(2):
        page = _page(kind, seed)
        found = written(reader, _faint(page, _mask(page.shape), levels), lossless=True)
        texts = ["".join(line.text for line in part).lower().replace(" ", "") for part in found.faint]
        matches = (SequenceMatcher(None, text, SAID.replace(" ", "")).ratio() for text in texts)
        best.append(max(matches, default=0.0))
    assert min(best) > 0.6
