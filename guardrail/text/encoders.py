"""Tokens of English text in windows, as the networks of this room read them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from guardrail.detector import ModelProvider
from guardrail.errors import ModelIntegrityError

PIECES = "english-wordpieces"
TOKENIZER = (PIECES, "tokenizer.json")
WINDOW = 48
STRIDE = 40
MAX_WINDOWS = 256
_BATCH = 16
_SHORTEST, _LONG = 5, 160
_SENTENCE_END = re.compile(r"[.!?;\n]")
MARKS = " .!?;,"
"""Signs at the end of a text: captions end in a full stop, requests seldom do, and networks learn that."""
_CLS, _SEP = 101, 102

Windows = list[list[int]]
Offsets = list[tuple[int, int]]


class WordPieces:
    """The uncased English WordPiece tokenizer, in windows that overlap.

    Raises:
        ModelMissingError, ModelIntegrityError: the tokenizer file is missing or unusable.
    """

    def __init__(self, models: ModelProvider) -> None:
        path = models.file(*TOKENIZER)
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelIntegrityError("the tokenizer file does not load") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def windows(self, text: str, size: int = WINDOW, stride: int = STRIDE) -> tuple[Windows, bool]:
        """Token ids in windows of at most `size`, and whether the text was longer than all windows together."""
        found, _, cut = self.windows_with_offsets(text, size, stride)
        return found, cut

    def windows_with_offsets(
        self, text: str, size: int = WINDOW, stride: int = STRIDE
    ) -> tuple[Windows, list[Offsets], bool]:
        """`windows`, with (start, end) in the text of every token between the first and the last of a window."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        ids, offsets = encoded.ids, encoded.offsets
        inner, step = size - 2, stride - 2
        starts = range(0, max(1, len(ids) - (inner - step)), step)
        kept = starts[:MAX_WINDOWS]
        found = [[_CLS, *ids[start : start + inner], _SEP] for start in kept]
        return found, [offsets[start : start + inner] for start in kept], len(starts) > MAX_WINDOWS

    def alone(self, text: str, *, mixed: bool) -> Windows:
        """`windows_alone` of a text."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return windows_alone(text, encoded.ids, encoded.offsets, mixed=mixed)


def windows_alone(text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]], *, mixed: bool) -> Windows:
    """Further windows of a text: its end without the marks, and every sentence of a long or mixed one.

    Harmless sentences around a request speak for it. Yet a sentence by itself lacks what the others say of it, and
    false alarms rise; so sentences are read alone only where much can be hidden.

    Args:
        text: any.
        ids: its tokens.
        offsets: (start, end) in the text of each.
        mixed: whether words of other languages were taken out of the text.
    """
    found = without_marks(text, ids, offsets)
    return found + sentence_windows(text, ids, offsets) if mixed or len(ids) > _LONG else found


def without_marks(text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> Windows:
    """The last window of a text without the marks at its end; none when it ends in a word.

    Args:
        text: any.
        ids: its tokens.
        offsets: (start, end) in the text of each.
    """
    last = bisect_left(offsets, (len(text.rstrip(MARKS)), 0))
    if last in (0, len(ids)):
        return []
    return [[_CLS, *ids[max(0, last - (WINDOW - 2)) : last], _SEP]]


def sentence_windows(text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> Windows:
    """Each sentence as windows of its own, without its mark; none when the text is but one, short ones go together.

    Args:
        text: any.
        ids: its tokens.
        offsets: (start, end) in the text of each.
    """
    found: Windows = []
    first = 0
    for stop, after in [*(match.span() for match in _SENTENCE_END.finditer(text)), (len(text), len(text))]:
        last = bisect_left(offsets, (stop, 0), lo=first)
        if (last - first < _SHORTEST and stop < len(text)) or last == first:
            continue
        if first == 0 and last == len(ids):
            return []
        found += [[_CLS, *ids[at : min(at + WINDOW - 2, last)], _SEP] for at in range(first, last, STRIDE - 2)]
        first = bisect_left(offsets, (after, 0), lo=last)
    return found


def padded(windows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask as (batch, longest) int64."""
    longest = max(map(len, windows))
    ids = np.zeros((len(windows), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return ids, mask


def batched(windows: Windows) -> list[Windows]:
    """Windows in batches that a CPU runs well."""
    return [windows[at : at + _BATCH] for at in range(0, len(windows), _BATCH)]
