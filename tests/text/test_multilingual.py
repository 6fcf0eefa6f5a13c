from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import DetectionError, ModelIntegrityError, ModelMissingError
from guardrail.inference import ModelStore
from guardrail.text.multilingual import MAX_WINDOWS, MULTILINGUAL, STRIDE, WINDOW, Multilingual
from tests.text.golden.make import LANGUAGES, PARALLEL
from tests.text.tiny import TextModels

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def encoder(models: ModelStore) -> Multilingual:
    return Multilingual(models)


def _first(encoder: Multilingual, text: str) -> list[int]:
    return encoder.windows(text)[0][0]


def test_pieces_and_embeddings_are_those_stored(encoder: Multilingual) -> None:
    stored = np.load(LANGUAGES, allow_pickle=False)
    read = [_first(encoder, sentence) for sentence in PARALLEL]
    assert [ids == stored[f"ids{at}"].tolist() for at, ids in enumerate(read)] == [True] * len(PARALLEL)
    assert (encoder.embed(read) * stored["embedded"].astype(np.float32)).sum(1).min() > 0.999


def test_one_meaning_lies_together_in_every_language(encoder: Multilingual) -> None:
    *same, other = encoder.embed([_first(encoder, sentence) for sentence in PARALLEL])
    for found in same[1:]:
        assert found @ same[0] > found @ other + 0.25


def test_a_sentence_does_not_depend_on_its_batch(encoder: Multilingual) -> None:
    read = [_first(encoder, sentence) for sentence in PARALLEL]
    alone = np.concatenate([encoder.embed([ids]) for ids in read])
    np.testing.assert_allclose(encoder.embed(read), alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-5)


@given(text=st.text(max_size=300))
def test_any_text_has_an_embedding(encoder: Multilingual, text: str) -> None:
    windows, cut = encoder.windows(text)
    assert not cut
    assert all(len(window) <= WINDOW + 2 for window in windows)
    assert np.isfinite(encoder.embed(windows)).all()


def test_windows_overlap_and_cover(encoder: Multilingual) -> None:
    text = "ein roter Leuchtturm am Meer, " * 60
    windows, _ = encoder.windows(text)
    whole = [
        piece
        for at, window in enumerate(windows)
        for piece in window[1:-1][: STRIDE if at + 1 < len(windows) else WINDOW]
    ]
    assert len(whole) == encoder.pieces(text)
    assert windows[0][1:-1][STRIDE:] == windows[1][1:-1][: WINDOW - STRIDE]


def test_text_beyond_all_windows_says_so(encoder: Multilingual) -> None:
    windows, cut = encoder.windows("灯塔 " * STRIDE * MAX_WINDOWS)
    assert len(windows) == MAX_WINDOWS
    assert cut


def _broken(folder: Path, models: ModelStore, **changed: np.ndarray) -> TextModels:
    found = TextModels(folder)
    with np.load(models.file(MULTILINGUAL, "weights.npz"), allow_pickle=False) as arrays:
        np.savez(folder / "weights.npz", allow_pickle=False, **(dict(arrays) | changed))
    shutil.copy(models.file(MULTILINGUAL, "sp.model"), folder / "sp.model")
    found.files |= {(MULTILINGUAL, name): folder / name for name in ("weights.npz", "sp.model")}
    return found


def test_other_shapes_are_an_integrity_error(tmp_path: Path, models: ModelStore) -> None:
    broken = _broken(tmp_path, models, proj2=np.zeros((512, 8), np.float32))
    with pytest.raises(ModelIntegrityError, match="shapes"):
        Multilingual(broken)


def test_missing_pieces_and_arrays_are_typed_errors(tmp_path: Path, models: ModelStore) -> None:
    with pytest.raises(ModelMissingError):
        Multilingual(TextModels(tmp_path))
    broken = _broken(tmp_path, models)
    np.savez(tmp_path / "weights.npz", allow_pickle=False, q1=np.zeros((7530, 512), np.uint8))
    with pytest.raises(ModelIntegrityError, match="arrays"):
        Multilingual(broken)
    (tmp_path / "sp.model").write_bytes(b"no pieces")
    with pytest.raises(ModelIntegrityError, match="pieces"):
        Multilingual(broken)


def test_numbers_that_are_none_are_a_detection_error(tmp_path: Path, models: ModelStore) -> None:
    broken = Multilingual(_broken(tmp_path, models, cnn_b=np.full(512, np.nan, np.float32)))
    with pytest.raises(DetectionError, match="not finite"):
        broken.embed([[1, 2]])
