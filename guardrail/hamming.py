"""Exact search among 256-bit codes by Hamming distance.

Few codes are compared one by one. Many are indexed as in Norouzi, Punjani and Fleet 2012 ("Fast search in Hamming
space with multi-index hashing"): a code is cut into `bands`, and each band is a table of buckets. Two codes that
differ in at most `reach` bits differ in at most `reach // bands` bits of some band (the pigeonhole principle), so
looking into every bucket that near, band by band, misses nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BITS = 256
BYTES = BITS // 8
FEW = 16_384
"""Codes up to which comparing all of them is as fast as an index."""
_CHUNK = 1 << 18
_FEWEST_BANDS = 11
_TABLE_BYTES = 64 << 20
_TABLE_BYTES_A_CODE = 64
"""What the bucket tables of a plan may take: so much, and so much more a code."""
_ARRAYS = ("codes", "offsets", "order")

Codes = NDArray[np.uint8]
"""(n, 32) bytes, a code a row."""


class Hits(NamedTuple):
    """Pairs that lie near each other: parallel arrays, in no order, without repeats.

    Attributes:
        query: row of the queries.
        row: row of the codes.
        distance: differing bits, 0 to 256.
    """

    query: NDArray[np.int64]
    row: NDArray[np.int64]
    distance: NDArray[np.int64]


def words(codes: Codes) -> NDArray[np.uint64]:
    """The codes as (n, 4) machine words.

    Raises:
        ValueError: not (n, 32) bytes.
    """
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != BYTES:
        raise ValueError(f"codes are (n, {BYTES}) bytes")
    return np.ascontiguousarray(codes).view(np.uint64)


def scan(codes: NDArray[np.uint64], queries: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(queries, codes) distances of every pair of machine words."""
    total = np.zeros((len(queries), len(codes)), dtype=np.int64)
    for word in range(codes.shape[1]):
        total += np.bitwise_count(queries[:, word, None] ^ codes[None, :, word])
    return total


@dataclass(frozen=True, slots=True)
class Plan:
    """How codes are cut: `bands` bands, looked up with up to `flips` differing bits each."""

    bands: int
    flips: int

    @classmethod
    def make(cls, count: int, reach: int) -> Plan:
        """The plan that looks at the fewest buckets and codes within the memory allowed; exact up to `reach` bits."""
        plans = [cls._of(reach, flips) for flips in (1, 2)]
        allowed = _TABLE_BYTES + _TABLE_BYTES_A_CODE * count
        affordable = [plan for plan in plans if plan.table_bytes <= allowed]
        return min(affordable or plans[:1], key=lambda plan: plan._looks(count))

    @classmethod
    def _of(cls, reach: int, flips: int) -> Plan:
        bands = max(reach // (flips + 1) + 1, _FEWEST_BANDS)
        return cls(bands, reach // bands)

    @property
    def table_bytes(self) -> int:
        """Bytes of its bucket tables."""
        return sum(4 << (end - start) for start, end in self.edges)

    def _looks(self, count: int) -> float:
        """Buckets and codes that one search of `count` evenly spread codes looks at."""
        widths = [end - start for start, end in self.edges]
        return sum(len(_masks(width, self.flips)) * (1 + count / (1 << width)) for width in widths)

    @property
    def edges(self) -> list[tuple[int, int]]:
        """First and last + 1 bit of each band."""
        short, longer = divmod(BITS, self.bands)
        found, start = [], 0
        for band in range(self.bands):
            end = start + short + (band < longer)
            found.append((start, end))
            start = end
        return found


class MultiIndex:
    """An index over codes. Arrays may be memory maps that processes share.

    Attributes:
        reach: differing bits up to which a search is exact, at most 63.
        codes: (n, 4) machine words.
    """

    def __init__(self, codes: NDArray[np.uint64], reach: int, offsets: Any, order: Any, plan: Plan) -> None:
        self.codes = codes
        self.reach = reach
        self._offsets: NDArray[np.uint32] = offsets
        self._order: NDArray[np.uint32] = order
        self._plan = plan
        self._edges = plan.edges
        sizes = [(1 << (end - start)) + 1 for start, end in self._edges]
        base = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        masks, bases, bands = [], [], []
        for band, (start, end) in enumerate(self._edges):
            near = _masks(end - start, plan.flips)
            masks.append(near)
            bases.append(np.full(len(near), base[band]))
            bands.append(np.full(len(near), band))
        self._masks, self._bases, self._bands = (np.concatenate(item) for item in (masks, bases, bands))

    @classmethod
    def build(cls, codes: Codes, reach: int) -> MultiIndex:
        """Index (n, 32) codes; takes about two seconds a million.

        Raises:
            ValueError: a wrong shape, or more codes than 32 bits count.
        """
        held = words(codes)
        if len(held) >= 1 << 32 or not 0 <= reach < 64:
            raise ValueError("at most 2^32 codes and a reach of 63")
        plan = Plan.make(len(held), reach)
        order = np.empty((plan.bands, len(held)), dtype=np.uint32)
        offsets = []
        for band, (start, end) in enumerate(plan.edges):
            keys = _keys(codes, start, end)
            order[band] = np.argsort(keys)
            counts = np.bincount(keys, minlength=1 << (end - start))
            offsets.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32))
        return cls(held, reach, np.concatenate(offsets), order, plan)

    def save(self, folder: Path) -> None:
        """Write the index into an existing, empty folder."""
        for name, array in zip(_ARRAYS, (self.codes, self._offsets, self._order), strict=True):
            np.save(folder / f"{name}.npy", np.asarray(array))
        plan = {"bands": self._plan.bands, "flips": self._plan.flips, "reach": self.reach}
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> MultiIndex:
        """Map a saved index; nothing is read until it is searched.

        Raises:
            OSError, ValueError, KeyError: it is not there, or not whole.
        """
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS]
        codes, offsets, order = (array.view(np.ndarray) for array in arrays)
        found = cls(codes, int(plan["reach"]), offsets, order, Plan(int(plan["bands"]), int(plan["flips"])))
        whole = sum((1 << (end - start)) + 1 for start, end in found._edges)
        if order.shape != (found._plan.bands, len(codes)) or offsets.shape != (whole,):
            raise ValueError("the arrays of the index do not belong together")
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return int(self.codes.nbytes + self._offsets.nbytes + self._order.nbytes)

    def search(self, queries: NDArray[np.uint64], within: int) -> Hits:
        """Every code that differs from a query in at most `within` bits.

        Args:
            queries: (k, 4) machine words.
            within: at most `reach`.

        Raises:
            ValueError: `within` is beyond what this index is exact for.
        """
        if within > self.reach:
            raise ValueError(f"this index is exact up to {self.reach} bits")
        found = [self._one(query, within) for query in queries]
        rows = [row for row, _ in found]
        query = np.repeat(np.arange(len(rows), dtype=np.int64), [len(row) for row in rows])
        if not found:
            return Hits(query, query, query)
        return Hits(query, np.concatenate(rows), np.concatenate([distance for _, distance in found]))

    def _one(self, query: NDArray[np.uint64], within: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        bytes_ = query.view(np.uint8)[None]
        keys = np.array([int(_keys(bytes_, start, end)[0]) for start, end in self._edges], dtype=np.int64)
        slot = self._bases + (keys[self._bands] ^ self._masks)
        begin = self._offsets[slot].astype(np.int64)
        size = self._offsets[slot + 1].astype(np.int64) - begin
        full = np.flatnonzero(size)
        size = size[full]
        # the positions begin, begin + 1, ... of every bucket, without a loop over buckets
        ends = np.cumsum(size)
        total = int(ends[-1]) if len(ends) else 0
        at = np.repeat(self._bands[full] * len(self.codes) + begin[full] - (ends - size), size) + np.arange(total)
        rows = self._order.reshape(-1)[at]
        distance = np.bitwise_count(self.codes[rows] ^ query).sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(distance <= within)
        kept, first = np.unique(rows[near], return_index=True)
        return kept.astype(np.int64), distance[near][first]


def _masks(width: int, flips: int) -> NDArray[np.int64]:
    """Every number of `width` bits with at most `flips` of them set."""
    found = [0]
    for count in range(1, flips + 1):
        found += [sum(1 << bit for bit in bits) for bits in combinations(range(width), count)]
    return np.array(found, dtype=np.int64)


def _keys(codes: Codes, start: int, end: int) -> NDArray[np.uint32]:
    """(n,) value of the bits `start` to `end` of each code, first bit highest."""
    first, last = start // 8, (end + 7) // 8
    found = np.empty(len(codes), dtype=np.uint32)
    shift, mask = np.uint64(last * 8 - end), np.uint64((1 << (end - start)) - 1)
    for at in range(0, len(codes), _CHUNK):
        part = codes[at : at + _CHUNK, first:last]
        value = np.zeros(len(part), dtype=np.uint64)
        for column in range(part.shape[1]):
            value = (value << np.uint64(8)) | part[:, column]
        found[at : at + _CHUNK] = (value >> shift) & mask
    return found
