from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import pytest
from PIL import Image

from guardrail.inference import ModelStore
from guardrail.signals import RGB
from guardrail.vision.hidden.clearer import FINE_SIDE, VIEW_SIDE, clearer, enlarged, unclouded
from guardrail.vision.ocr.reader import Reader
from tests.attacks.hidden import covers, lettering

SAID = ["water the plants", "on every monday"]


def _view(seed: int, ink: tuple[float, float, float] = (20.0, 20.0, 20.0), kind: str = "photo") -> RGB:
    """What an attacker wants a view to show: letters some levels from a picture of less contrast."""
    full = covers.draw(kind, (960, 720), np.random.default_rng(seed), "train")
    ground = np.asarray(full.resize((320, 240), Image.Resampling.BOX), dtype=np.float32)
    drawn = lettering.mask(SAID, lettering.face("DejaVuSans", 26))
    mask = np.zeros((240, 320, 1), np.float32)
    mask[60 : 60 + drawn.shape[0], 30 : 30 + drawn.shape[1], 0] = drawn
    return np.asarray(np.clip(np.rint(128 + (ground - 128) * 0.75 - np.multiply(mask, ink)), 0, 255), dtype=np.uint8)


def _read(reader: Reader, picture: RGB) -> float:
    """How much of what is written is read, 0 to 1."""
    lines = reader.read(picture, max(picture.shape[:2])).lines
    text = "".join(line.text for line in lines if line.score >= 0.7).lower().replace(" ", "")
    wanted = "".join(SAID).replace(" ", "")
    known = SequenceMatcher(None, wanted, text, autojunk=False).get_matching_blocks()
    return sum(part.size for part in known if part.size > 2) / len(wanted)


@pytest.mark.models
@pytest.mark.slow
def test_letters_over_restless_grounds_are_read_where_colour_explains_the_ground(models: ModelStore) -> None:
    reader = Reader(models)
    views = [[enlarged(picture, VIEW_SIDE) for picture in clearer(_view(seed))] for seed in (2, 4, 6, 8)]
    read = np.array([[_read(reader, picture) for picture in view] for view in views])
    assert np.median(read.max(axis=1)) > 0.9
    assert (read[:, 0] > read[:, -1] + 0.2).sum() >= 2


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "screenshot"])
def test_letters_over_print_are_read_though_the_view_itself_is_not(models: ModelStore, kind: str) -> None:
    reader = Reader(models)
    for seed in (1, 2):
        view = _view(seed, (60.0, 60.0, 60.0), kind)
        assert _read(reader, unclouded(view)) > max(0.7, _read(reader, enlarged(view, VIEW_SIDE)))


@pytest.mark.models
@pytest.mark.slow
def test_letters_of_one_colour_are_read_too(models: ModelStore) -> None:
    pictures = [enlarged(picture, VIEW_SIDE) for picture in clearer(_view(2, (0.0, 60.0, 60.0)))]
    assert max(_read(Reader(models), picture) for picture in pictures) > 0.9


@pytest.mark.parametrize("shape", [(240, 320), (96, 512), (1300, 1100)])
def test_pictures_of_a_view_keep_its_shape_and_are_bounded(shape: tuple[int, int]) -> None:
    view = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pictures = clearer(view)
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert max(picture.shape[:2]) <= max(*shape, FINE_SIDE)
        assert picture.shape[0] / picture.shape[1] == pytest.approx(shape[0] / shape[1], rel=0.02)
