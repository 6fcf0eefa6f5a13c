"""The 16-language sentence encoder: Universal Sentence Encoder multilingual v3, run in numpy.

Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval" (the convolutional variant): word
pieces, three residual convolutions of 2, 3 and 5 pieces, a sum over the sentence divided by the root of its length, and
a feed-forward part with skips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor
from threadpoolctl import ThreadpoolController

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError, ModelIntegrityError
from guardrail.sharing import Shared
from guardrail.text.memory import Remembered

MULTILINGUAL = "use-multilingual"
WIDTH = 512
WINDOW = 64
STRIDE = 48
MAX_WINDOWS = 128
_BATCH = 4
_BLOCKS, _ROWS, _BRANCH = 17, 7_530, 256
_ORDERS = ((2, 0), (3, 1), (5, 2))
_FIRST, _LAST = 1, 2

Float = NDArray[np.float32]
Pieces = list[list[int]]


@dataclass(frozen=True, slots=True)
class _Branch:
    """One residual convolution: how many pieces it spans, how many of them lie to the left, and its two layers."""

    span: int
    left: int
    first: tuple[Float, Float]
    second: tuple[Float, Float]

    def run(self, states: Float, shown: Float) -> Float:
        """(batch, pieces, 256) -> the same; `shown` is 1 on pieces and 0 on padding."""
        for weight, bias in (self.first, self.second):
            states = (states + np.maximum(self._spread(states) @ weight + bias, 0.0)) * shown
        return states

    def _spread(self, states: Float) -> Float:
        """Every piece with its neighbours, zero beyond the ends: (batch, pieces, span * 256)."""
        right = self.span - 1 - self.left
        wide = np.pad(states, ((0, 0), (self.left, right), (0, 0)))
        pieces = states.shape[1]
        return np.concatenate([wide[:, at : at + pieces] for at in range(self.span)], axis=2)


class Multilingual:
    """Embeds text of ar de en es fr it ja ko nl pl pt ru th tr zh (both Chinese scripts) in one space.

    Raises:
        ModelMissingError, ModelIntegrityError: the weights are missing or have other shapes.
    """

    def __init__(self, models: ModelProvider) -> None:
        self._pieces = _tokenizer(models.file(MULTILINGUAL, "sp.model"))
        self._threads = ThreadpoolController()
        self._memory: Remembered[tuple[Float, bool]] = Remembered()
        try:
            with np.load(models.file(MULTILINGUAL, "weights.npz"), allow_pickle=False) as arrays:
                self._read(arrays)
        except (KeyError, ValueError, OSError) as error:
            raise ModelIntegrityError(f"model {MULTILINGUAL!r} has other arrays than expected") from error

    @classmethod
    def shared(cls, models: ModelProvider) -> Multilingual:
        """One for all detectors that use the same provider: the table is large."""
        return _SHARED.of(models, lambda: cls(models))

    def sentence(self, text: str) -> tuple[Float, bool]:
        """(windows, 512) of a text, remembered, and whether it was longer than all windows together."""
        return self._memory.recall(text, self._sentence)

    def _sentence(self, text: str) -> tuple[Float, bool]:
        windows, cut = self.windows(text)
        return self.embed(windows), cut

    def pieces(self, text: str) -> int:
        """How many pieces a text falls into."""
        return len(self._pieces.Encode(text.encode("utf-8", "replace")))

    def windows(self, text: str) -> tuple[Pieces, bool]:
        """Piece ids in overlapping windows, and whether the text was longer than all windows together."""
        ids = self._pieces.Encode(text.encode("utf-8", "replace"))
        starts = range(0, max(1, len(ids) - (WINDOW - STRIDE)), STRIDE)
        found = [[_FIRST, *ids[start : start + WINDOW], _LAST] for start in starts[:MAX_WINDOWS]]
        return found, len(starts) > MAX_WINDOWS

    def embed(self, windows: Sequence[Sequence[int]]) -> Float:
        """(windows, 512), unit length.

        Raises:
            DetectionError: the result is not finite.
        """
        # More threads make products of this size slower, many times so on a busy machine.
        with self._threads.limit(limits=1, user_api="blas"):
            parts = [self._run(windows[at : at + _BATCH]) for at in range(0, len(windows), _BATCH)]
        found = np.concatenate(parts)
        if not np.isfinite(found).all():
            raise DetectionError(f"model {MULTILINGUAL!r} gave numbers that are not finite")
        return found

    def _read(self, arrays: Any) -> None:
        """Piece i is row i // 17 of block i % 17, as bytes with a scale and an offset a block."""
        self._table = np.empty((_ROWS, _BLOCKS, WIDTH), np.uint8)
        for block in range(_BLOCKS):
            self._table[:, block] = arrays[f"q{block + 1}"]
        self._scale, self._low = arrays["scale"], arrays["lo"]
        self._epsilon = np.float32(arrays["eps"])
        spans = [span for span, _ in _ORDERS]
        self._project = np.concatenate([arrays[f"proj{span}"] for span in spans], axis=1)
        self._shift = np.concatenate([arrays[f"proj_b{span}"] for span in spans])
        self._inner = tuple(np.concatenate([arrays[f"ln_{part}{span}"] for span in spans]) for part in "gb")
        self._outer = (arrays["ln_g"], arrays["ln_b"])
        self._branches = [
            _Branch(
                span,
                left,
                (arrays[f"w1_{span}"], arrays[f"b1_{span}"]),
                (arrays[f"w2_{span}"], arrays[f"b2_{span}"]),
            )
            for span, left in _ORDERS
        ]
        self._pool = (arrays["cnn_W"], arrays["cnn_b"])
        self._dense = {name: arrays[name] for name in ("d0", "d1", "d2", "d3", "p1", "p3")}
        if self._project.shape != (WIDTH, 3 * _BRANCH) or self._pool[0].shape != (WIDTH + 3 * _BRANCH, WIDTH):
            raise ModelIntegrityError(f"model {MULTILINGUAL!r} has other shapes than expected")

    def _run(self, windows: Sequence[Sequence[int]]) -> Float:
        lengths = np.array([len(window) for window in windows], np.float32)
        ids = np.zeros((len(windows), int(lengths.max())), np.int64)
        shown = np.zeros((*ids.shape, 1), np.float32)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            shown[row, : len(window)] = 1.0
        block = ids % _BLOCKS
        looked_up = self._table[ids // _BLOCKS, block] * self._scale[block, None] + self._low[block, None]
        inner = _normed(looked_up @ self._project + self._shift, self._inner, self._epsilon) * shown
        parts = [looked_up]
        for index, branch in enumerate(self._branches):
            parts.append(branch.run(inner[:, :, index * _BRANCH : (index + 1) * _BRANCH], shown))
        states = _normed(np.concatenate(parts, axis=2), self._outer, self._epsilon) * shown
        weight, bias = self._pool
        pooled = (states.sum(1) @ weight + lengths[:, None] * bias) / np.sqrt(lengths)[:, None]
        return self._feed(pooled.astype(np.float32))

    def _feed(self, pooled: Float) -> Float:
        dense = self._dense
        first = np.maximum(pooled @ dense["d0"], 0.0)
        second = np.maximum(pooled @ dense["p1"] + first @ dense["d1"], 0.0)
        third = np.maximum(second @ dense["d2"], 0.0)
        out = np.tanh(second @ dense["p3"] + third @ dense["d3"])
        found: Float = (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)
        return found


_SHARED: Shared[ModelProvider, Multilingual] = Shared()


def _normed(states: Float, parts: tuple[Float, ...], epsilon: np.float32) -> Float:
    """Layer normalisation over the last axis."""
    centred = states - states.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    gain, offset = parts
    found: Float = centred / np.sqrt(variance + epsilon) * gain + offset
    return found


def _tokenizer(path: Path) -> SentencePieceProcessor:
    processor = SentencePieceProcessor()
    try:
        processor.Load(str(path))
    except (OSError, RuntimeError) as error:
        raise ModelIntegrityError(f"the pieces of model {MULTILINGUAL!r} do not load") from error
    return processor
