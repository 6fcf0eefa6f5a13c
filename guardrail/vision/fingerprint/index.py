"""One version of the takedown list, ready to be searched."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guardrail import hamming
from guardrail.signals import FingerprintArchive, FingerprintList
from guardrail.vision.fingerprint.card import CANARY_DISTANCE, CANARY_ID, card_hash

INDEXED_DISTANCE = 40
"""Largest distance of entries that a long list is indexed for; entries with more are compared one by one."""


class Match(NamedTuple):
    """An entry that a hash is near.

    Attributes:
        query: row of the hashes looked up.
        distance: differing bits.
        beyond: by how many that is more than the entry allows; 0 or less is a match.
        id, bank: of the entry.
        inert: why the entry only flags, or None when it acts.
    """

    query: int
    distance: int
    beyond: int
    id: str
    bank: str
    inert: str | None = None


class ListIndex:
    """One version of the list; exact search.

    Up to `hamming.FEW` hashes are compared one by one, and entries just out of reach are told. More are indexed; then
    only what lies within an entry's distance is told.
    """

    def __init__(self, listed: FingerprintList) -> None:
        self.version = listed.version
        self.archive: FingerprintArchive | None = listed.archive
        self._ids = (CANARY_ID, *listed.ids)
        self._banks = ("", *(listed.banks or ("",) * len(listed.ids)))
        self._inert = dict(listed.inert)
        owners = np.arange(len(listed.ids)) if listed.owners is None else listed.owners
        hashes = np.concatenate([card_hash()[None], listed.hashes])
        self._limits = np.concatenate([[CANARY_DISTANCE], listed.distances]).astype(np.int64)
        self._owners = np.concatenate([[0], owners + 1]).astype(np.int64)
        self._acts = np.array([entry not in self._inert for entry in self._ids])[self._owners]
        self._codes = hamming.words(hashes)
        self._index: hamming.MultiIndex | None = None
        self._scanned = np.arange(len(hashes))
        if len(hashes) > hamming.FEW:
            indexed = np.flatnonzero(self._limits <= INDEXED_DISTANCE)
            self._scanned = np.flatnonzero(self._limits > INDEXED_DISTANCE)
            self._rows = indexed
            self._reach = int(self._limits[indexed].max(initial=0))
            self._index = hamming.MultiIndex.build(hashes[indexed], self._reach)

    @property
    def pictures(self) -> bool:
        """Whether an entry was listed as a picture, with cuts and turns."""
        return len(self._owners) > len(self._ids)

    @property
    def entries(self) -> int:
        """Entries that can match, the test card not among them."""
        return len(self._ids) - 1 + (len(self.archive) if self.archive is not None else 0)

    def nearest(self, hashes: NDArray[np.uint8], *, strict: bool) -> list[Match]:
        """The entry that acts and is nearest, and every entry that would match but only flags.

        Args:
            hashes: (k, 32), the views of one picture.
            strict: allow half of every entry's distance only.
        """
        queries = hamming.words(hashes)
        found = self._compared(queries, strict=strict)
        if self._index is not None:
            hits = self._index.search(queries, self._reach)
            row = self._rows[hits.row]
            found += self._chosen(hits.query, row, hits.distance, hits.distance - self._allowed(row, strict))
        if self.archive is not None:
            for hit in self.archive.search(hashes):
                over = hit.distance - (hit.limit // 2 if strict else hit.limit)
                found.append(Match(hit.query, hit.distance, over, hit.id, hit.bank, hit.inert))
        acting = sorted((item for item in found if item.inert is None), key=lambda item: item.beyond)[:1]
        held: dict[str, Match] = {}
        for item in sorted((item for item in found if item.inert and item.beyond <= 0), key=lambda item: item.beyond):
            held.setdefault(item.id, item)
        return [*acting, *held.values()]

    def _compared(self, queries: NDArray[np.uint64], *, strict: bool) -> list[Match]:
        """The nearest of the hashes that are compared one by one."""
        distances = hamming.scan(self._codes[self._scanned], queries)
        if not distances.size:
            return []
        beyond = distances - self._allowed(self._scanned, strict)
        if self._inert:
            query, place = np.divmod(np.arange(beyond.size), beyond.shape[1])
            return self._chosen(query, self._scanned[place], distances.reshape(-1), beyond.reshape(-1))
        best, column = divmod(int(np.argmin(beyond)), beyond.shape[1])
        row = int(self._scanned[column])
        return [self._match(best, row, int(distances[best, column]), int(beyond[best, column]))]

    def _chosen(
        self,
        query: NDArray[np.int64],
        row: NDArray[np.int64],
        distance: NDArray[np.int64],
        beyond: NDArray[np.int64],
    ) -> list[Match]:
        """Of pairs: the nearest that acts, and all matches that only flag."""
        acts = self._acts[row]
        chosen = list(np.flatnonzero(~acts & (beyond <= 0)))
        acting = np.flatnonzero(acts)
        if len(acting):
            chosen.append(acting[np.argmin(beyond[acting])])
        return [self._match(int(query[at]), int(row[at]), int(distance[at]), int(beyond[at])) for at in chosen]

    def _allowed(self, row: NDArray[np.int64], strict: bool) -> NDArray[np.int64]:
        limits = self._limits[row]
        return limits // 2 if strict else limits

    def _match(self, query: int, row: int, distance: int, beyond: int) -> Match:
        owner = int(self._owners[row])
        entry = self._ids[owner]
        return Match(query, distance, beyond, entry, self._banks[owner], self._inert.get(entry))
