from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from guardrail.errors import ModelIntegrityError
from guardrail.inference import ModelStore
from guardrail.text.encoders import MAX_WINDOWS, WINDOW, WordPieces, batched, padded
from tests.text.golden.make import GOLDEN, SENTENCES
from tests.text.tiny import FIRST_WORD, WORDS, TextModels

ONE_MODULE = hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def tiny(tmp_path: Path) -> TextModels:
    return TextModels(tmp_path)


def test_a_short_text_is_one_window_between_its_marks(tiny: TextModels) -> None:
    windows, cut = WordPieces(tiny).windows("A red barn")
    assert windows == [[101, FIRST_WORD, FIRST_WORD + 1, FIRST_WORD + 2, 102]]
    assert not cut


@ONE_MODULE
@given(words=st.lists(st.sampled_from(WORDS), max_size=400))
def test_windows_cover_every_token_in_order(tiny: TextModels, words: list[str]) -> None:
    ids = [FIRST_WORD + WORDS.index(word) for word in words]
    windows, cut = WordPieces(tiny).windows(" ".join(words))
    assert not cut
    assert all(len(window) <= WINDOW and window[0] == 101 and window[-1] == 102 for window in windows)
    step = 38
    assert all(window[1:-1] == ids[at * step : at * step + WINDOW - 2] for at, window in enumerate(windows))
    assert (len(windows) - 1) * step + len(windows[-1]) - 2 == len(ids)


def test_a_phrase_across_the_end_of_a_window_is_whole_in_the_next(tiny: TextModels) -> None:
    words = ["a"] * 44 + ["red", "barn", "snow", "lantern"] + ["a"] * 44
    phrase = [FIRST_WORD + WORDS.index(word) for word in ("red", "barn", "snow", "lantern")]
    windows, _ = WordPieces(tiny).windows(" ".join(words))
    assert any(window[at : at + 4] == phrase for window in windows for at in range(len(window)))


def test_a_text_beyond_all_windows_says_so(tiny: TextModels) -> None:
    windows, cut = WordPieces(tiny).windows("a " * 40 * MAX_WINDOWS)
    assert len(windows) == MAX_WINDOWS
    assert cut


@ONE_MODULE
@given(text=st.text(max_size=300))
def test_any_text_has_windows(tiny: TextModels, text: str) -> None:
    windows, _ = WordPieces(tiny).windows(text)
    assert windows
    assert padded(windows)[0].shape[1] <= WINDOW


def test_a_broken_tokenizer_is_an_integrity_error(tiny: TextModels) -> None:
    tiny.files["english-wordpieces", "tokenizer.json"].write_text("{}")
    with pytest.raises(ModelIntegrityError, match="tokenizer"):
        WordPieces(tiny)


def test_padding_is_masked() -> None:
    ids, mask = padded([[101, 5, 102], [101, 102]])
    assert ids.tolist() == [[101, 5, 102], [101, 102, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_batches_keep_every_window() -> None:
    windows = [[at] for at in range(37)]
    assert [window for part in batched(windows) for window in part] == windows
    assert max(map(len, batched(windows))) <= 16


@pytest.mark.models
def test_tokens_are_those_stored(models: ModelStore) -> None:
    stored = np.load(GOLDEN, allow_pickle=False)
    pieces = WordPieces(models)
    for at, sentence in enumerate(SENTENCES):
        assert np.concatenate(pieces.windows(sentence)[0]).tolist() == stored[f"ids{at}"].tolist()
