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
_TOGETHER, _MOST_CODES = 32, 1 << 19
"""Queries looked up at once, and codes that they may be compared with at once."""
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
        fewest, most = (max(reach // (flips + 1) + 1, _FEWEST_BANDS) for flips in (2, 1))
        plans = [cls(bands, reach // bands) for bands in range(most, fewest - 1, -1)]
        allowed = _TABLE_BYTES + _TABLE_BYTES_A_CODE * count
        affordable = [plan for plan in plans if plan.table_bytes <= allowed]
        return min(affordable or plans[:1], key=lambda plan: plan._looks(count))

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
        parts = [
            self._some(queries[start : start + _TOGETHER], within) for start in range(0, len(queries), _TOGETHER)
        ] or [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))]
        query, row, distance = (np.concatenate(item) for item in zip(*parts, strict=True))
        starts = np.repeat(np.arange(len(parts)) * _TOGETHER, [len(part[0]) for part in parts])
        return Hits(query + starts, row, distance)

    def _some(
        self, queries: NDArray[np.uint64], within: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Query, row and distance of what lies near some queries, looked up at once; in halves if there is much."""
        bytes_ = np.ascontiguousarray(queries).view(np.uint8)
        keys = np.stack([_keys(bytes_, start, end) for start, end in self._edges], axis=1).astype(np.int64)
        slot = ((keys[:, self._bands] ^ self._masks) + self._bases).reshape(-1)
        begin = np.take(self._offsets, slot).astype(np.int64)
        size = np.take(self._offsets, slot + 1) - begin
        full = np.flatnonzero(size)
        size = size[full]
        ends = np.cumsum(size)
        total = int(ends[-1]) if len(ends) else 0
        if total > _MOST_CODES and len(queries) > 1:
            half = len(queries) // 2
            first, second = self._some(queries[:half], within), self._some(queries[half:], within)
            query, row, distance = (np.concatenate(item) for item in zip(first, second, strict=True))
            return query + np.repeat([0, half], [len(first[0]), len(second[0])]), row, distance
        # the positions begin, begin + 1, ... of every bucket, without a loop over buckets
        query, mask = np.divmod(full, len(self._masks))
        starts = self._bands[mask] * len(self.codes) + begin[full] - (ends - size)
        rows = np.take(self._order.reshape(-1), np.repeat(starts, size) + np.arange(total))
        query = np.repeat(query, size)
        bits = np.bitwise_count(np.take(self.codes, rows, axis=0) ^ np.take(queries, query, axis=0))
        distance = bits[:, 0].astype(np.int64)
        for word in range(1, bits.shape[1]):
            distance += bits[:, word]
        near = np.flatnonzero(distance <= within)
        pairs = query[near] * max(1, len(self.codes)) + rows[near]
        kept, first_at = np.unique(pairs, return_index=True)
        query, row = np.divmod(kept, max(1, len(self.codes)))
        return query, row, distance[near][first_at]


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
