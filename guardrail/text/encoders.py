"""Token windows and the networks that read them, with a small memory of recent results."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError, ModelIntegrityError

TOKENIZER = ("minilm-l6-int8", "tokenizer.json")
MINILM = "minilm-l6-int8"
WINDOW = 48
STRIDE = 40
MAX_WINDOWS = 256
_BATCH = 16
_CLS, _SEP = 101, 102
_REMEMBERED = 4_096

Windows = list[list[int]]


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

    def windows(self, text: str, size: int = WINDOW) -> tuple[Windows, bool]:
        """Token ids in windows of at most `size`, and whether the text was longer than all windows together."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        inner = size - 2
        step = STRIDE - 2 if size == WINDOW else inner
        starts = range(0, max(1, len(ids) - (inner - step)), step)
        found = [[_CLS, *ids[start : start + inner], _SEP] for start in starts[:MAX_WINDOWS]]
        return found, len(starts) > MAX_WINDOWS


class Remembered:
    """Results of recent texts by keyed digest: the texts themselves are not kept. Thread safe, bounded."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._found: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def digest(self, text: str) -> bytes:
        """Keyed digest of a text, comparable in this process only."""
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def get(self, digest: bytes) -> NDArray[np.float32] | None:
        """The result for a digest, or None."""
        with self._lock:
            found = self._found.get(digest)
            if found is not None:
                self._found.move_to_end(digest)
            return found

    def put(self, digest: bytes, result: NDArray[np.float32]) -> None:
        """Keep a result; the least recently used goes."""
        with self._lock:
            self._found[digest] = result
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)


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


class MiniLm:
    """all-MiniLM-L6-v2: mean pooling, unit length, 384 numbers a window."""

    def __init__(self, models: ModelProvider) -> None:
        self._session = models.session(MINILM)

    def embed(self, windows: Windows) -> NDArray[np.float32]:
        """(windows, 384), unit length.

        Raises:
            DetectionError: the network failed or gave something that is not finite.
        """
        rows = []
        for part in batched(windows):
            ids, mask = padded(part)
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            states = self._session.run(inputs)[0]
            shown = mask[:, :, None].astype(np.float32)
            mean = (states * shown).sum(1) / shown.sum(1)
            rows.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
        found = np.concatenate(rows).astype(np.float32)
        if not np.isfinite(found).all():
            raise DetectionError(f"model {MINILM!r} gave numbers that are not finite")
        return found
