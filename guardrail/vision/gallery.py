"""Who of many enrolled people a face resembles most: every template up to 50,000, sketches of them beyond.

A sketch holds the signs of 256 random projections of what sets a template apart from the mean of all (Charikar 2002,
"Similarity estimation techniques from rounding algorithms"): the share of bits in which two differ is the angle between
the templates over pi. The projections are two sets of 128 at right angles, which says the angle more surely (Ji and
others 2012, "Super-bit locality-sensitive hashing"). One set of all sketches is scanned, both sets of the nearest, and
the nearest by both are compared by their exact templates. A graph (HNSW by usearch, 8-bit copies) was measured beside
it: templates of strangers are almost orthogonal, which graphs search badly; at 100,000 it found 94 % in 1.1 ms where
the scan finds all, and took a minute to make.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from guardrail.signals import FaceGallery
from guardrail.vision.nets import Tensor

FLAT_ROWS = 50_000
"""Templates up to which every one is compared exactly."""
ROUGH, CANDIDATES = 20_480, 1_536
"""Sketches, about, that are compared whole, the nearest by one half of theirs; and templates that are compared exactly,
the nearest by whole sketches."""

_WORDS, _FIRST = 4, 2
_BITS = 64 * _WORDS
_BLOCK = 32_768
_SAMPLED = 32


class FaceIndex:
    """One version of the gallery, made once and read by several threads; in memory only."""

    def __init__(self, gallery: FaceGallery) -> None:
        self.gallery = gallery
        self.exact = len(gallery.ids) <= FLAT_ROWS
        if not self.exact:
            self._directions = _directions(gallery.vectors.shape[1])
            self._usual: Tensor = gallery.vectors.mean(axis=0, dtype=np.float32)
            self._first, self._rest = _sketched(gallery.vectors, self._usual, self._directions)

    @property
    def size(self) -> int:
        """Templates compared with."""
        return len(self.gallery.ids)

    @property
    def sketch_bytes(self) -> int:
        """Memory beyond the templates themselves."""
        return 0 if self.exact else self._first.nbytes + self._rest.nbytes

    def best(self, vector: Tensor) -> tuple[float, str]:
        """Highest cosine in a gallery that is not empty, and whose it is.

        Args:
            vector: (128,) float32, unit length.
        """
        if self.exact:
            cosines = self.gallery.vectors @ vector
            at = int(np.argmax(cosines))
            return float(cosines[at]), self.gallery.ids[at]
        rows = self._nearest(vector)
        cosines = self.gallery.vectors[rows] @ vector
        at = int(np.argmax(cosines))
        return float(cosines[at]), self.gallery.ids[int(rows[at])]

    def _nearest(self, vector: Tensor) -> NDArray[np.int64]:
        wanted = _words(vector[None], self._usual, self._directions)[:, 0]
        apart = self._apart(wanted)
        rows = np.flatnonzero(apart <= _cut(apart, ROUGH))
        more = np.bitwise_count(np.take(self._rest, rows, axis=0) ^ wanted[_FIRST:])
        apart = apart[rows] + more[:, 0] + more[:, 1]
        found: NDArray[np.int64] = rows[apart <= _cut(apart, CANDIDATES)]
        return found

    def _apart(self, wanted: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Bits in which the first words of each sketch differ."""
        count = self._first.shape[1]
        apart = np.empty(count, dtype=np.uint8)
        bits, ones = np.empty(_BLOCK, dtype=np.uint64), np.empty(_BLOCK, dtype=np.uint8)
        for start in range(0, count, _BLOCK):
            part = slice(start, min(start + _BLOCK, count))
            size = part.stop - start
            np.bitwise_xor(self._first[0, part], wanted[0], out=bits[:size])
            np.bitwise_count(bits[:size], out=apart[part])
            for word in range(1, _FIRST):
                np.bitwise_xor(self._first[word, part], wanted[word], out=bits[:size])
                np.bitwise_count(bits[:size], out=ones[:size])
                np.add(apart[part], ones[:size], out=apart[part])
        return apart


class GalleryMemory:
    """The index of the newest gallery: made anew when the version or the people change, and only once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: FaceIndex | None = None

    def index(self, gallery: FaceGallery) -> FaceIndex:
        """The index over `gallery`."""
        with self._lock:
            if self._index is None or self._index.gallery is not gallery:
                self._index = FaceIndex(gallery)
            return self._index


def _cut(apart: NDArray[np.uint8], wanted: int) -> np.uint8:
    """The distance within which about the `wanted` nearest lie, of many from a sample."""
    some = apart[:: _SAMPLED if len(apart) > _BLOCK else 1]
    rank = min(len(some) - 1, max(1, round(wanted * len(some) / len(apart))))
    found: np.uint8 = np.partition(some, rank)[rank]
    return found


def _directions(dimensions: int) -> Tensor:
    """(dimensions, bits): sets of as many at right angles as there are dimensions."""
    random = np.random.default_rng(5)
    sets = [np.linalg.qr(random.standard_normal((dimensions, dimensions)))[0] for _ in range(-(-_BITS // dimensions))]
    return np.concatenate(sets, axis=1)[:, :_BITS].astype(np.float32)


def _sketched(vectors: Tensor, usual: Tensor, directions: Tensor) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first words of all sketches one behind the other, as they are scanned, and the rest sketch by sketch."""
    first = np.empty((_FIRST, len(vectors)), dtype=np.uint64)
    rest = np.empty((len(vectors), _WORDS - _FIRST), dtype=np.uint64)
    for start in range(0, len(vectors), _BLOCK):
        part = slice(start, start + _BLOCK)
        words = _words(vectors[part], usual, directions)
        first[:, part], rest[part] = words[:_FIRST], words[_FIRST:].T
    return first, rest


def _words(vectors: Tensor, usual: Tensor, directions: Tensor) -> NDArray[np.uint64]:
    """(words, n) of the signs of what sets (n, dimensions) apart from the usual, along (dimensions, bits)."""
    packed = np.packbits((vectors - usual) @ directions > 0, axis=1)
    return np.ascontiguousarray(packed.view(np.uint64).T)
