from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.inference import ModelStore
from guardrail.vision.hidden.faded import faded
from guardrail.vision.hidden.written import written
from guardrail.vision.ocr.reader import Reader
from tests.attacks.hidden import covers, lettering, scenes

SAID = "water the plants on monday"


def _ground(seed: int, name: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    known = {scene: draw for half in scenes.SCENES.values() for scene, draw in half.items()}
    return scenes.camera(known[name]((720, 480), rng), rng)


def _faint(pixels: np.ndarray, levels: float) -> tuple[np.ndarray, np.ndarray]:
    """The letters laid over a ground that stays as busy as it is, and where they are."""
    drawn = lettering.mask([SAID], lettering.face("DejaVuSans-Bold", 40))
    mask = np.zeros(pixels.shape[:2], np.float32)
    mask[200 : 200 + drawn.shape[0], 30 : 30 + drawn.shape[1]] = drawn
    rgb = np.clip(np.rint(pixels + levels * mask[..., None]), 0, 255).astype(np.uint8)
    return rgb, mask > 0.5


@pytest.mark.parametrize("name", ["wood", "dunes", "brick"])
def test_letters_stand_out_of_what_colour_tells_of_a_ground(name: str) -> None:
    rgb, letters = _faint(_ground(3, name), 8.0)
    plain, alone = rgb.mean(axis=2), faded(rgb).astype(np.float32)
    rows = np.flatnonzero(letters.any(axis=1))
    around = np.zeros_like(letters)
    around[rows[0] : rows[-1], 30:690] = True

    def apart(levels: np.ndarray) -> float:
        return float((levels[letters].mean() - levels[around & ~letters].mean()) / levels[around].std())

    assert apart(alone) > 0.5
    assert apart(alone) > 2 * apart(plain)


@pytest.mark.slow
@pytest.mark.models
def test_faint_letters_over_busy_grounds_are_read_and_known_as_faint(models: ModelStore) -> None:
    reader, best = Reader(models), []
    for name, levels in (("wood", 8.0), ("dunes", 5.0), ("hills", 7.0), ("brick", 8.0)):
        for seed in range(2):
            found = written(reader, _faint(_ground(seed, name), levels)[0])
            texts = ["".join(line.text for line in part).lower().replace(" ", "") for part in found.faint]
            matches = (SequenceMatcher(None, text, SAID.replace(" ", "")).ratio() for text in texts)
            best.append(max(matches, default=0.0))
    assert sum(match > 0.7 for match in best) >= 6


@pytest.mark.models
@pytest.mark.parametrize("name", ["wood", "hills", "lawn", "leaves"])
def test_nothing_faint_is_read_where_nothing_stands(models: ModelStore, name: str) -> None:
    pixels = np.clip(np.rint(_ground(5, name)), 0, 255).astype(np.uint8)
    assert written(Reader(models), pixels).faint == ()


@pytest.mark.models
@pytest.mark.parametrize("kind", ["code", "table"])
def test_what_a_page_shows_is_not_taken_for_faint(models: ModelStore, kind: str) -> None:
    rgb = np.asarray(covers.draw(kind, (640, 512), np.random.default_rng(4), "train"))
    assert written(Reader(models), rgb).faint == ()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 80), st.booleans())
def test_pictures_of_any_size_have_their_planes(seed: int, high: int, wide: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    rgb = np.full((high, wide, 3), seed % 256, np.uint8) if flat else rng.integers(0, 256, (high, wide, 3), np.uint8)
    assert faded(rgb).shape == (high, wide)


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.parametrize("seed", [3, 4])
def test_a_faint_line_that_is_plain_at_first_is_read_to_its_end(models: ModelStore, seed: int) -> None:
    """As far as its ground is calm it is found anyway."""
    ground = _ground(seed, "brick")
    ground[:, :420] = ground.mean(axis=(0, 1))
    found = written(Reader(models), _faint(ground, 8.0)[0])
    texts = ["".join(line.text for line in part).lower().replace(" ", "") for part in found.faint]
    assert any("water" in text and "mon" in text for text in texts)
