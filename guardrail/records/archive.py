"""A long list on disk: built once by whoever imports it, mapped by every worker, searched without loading it.

It holds hashes and distances of entries that came as bare hashes, nothing else. What it finds is looked up in the
database, so that entries removed, expired or held back since it was built do not act.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from guardrail import hamming
from guardrail.errors import RecordError
from guardrail.records.vault import private_folder
from guardrail.settings import Settings
from guardrail.signals import ArchiveHit
from guardrail.verdict import new_id

REACH = 31
"""Largest distance of an entry that an archive holds; others are compared in memory."""
_POINTER = "current"
_LIMITS = "limits.npy"

Resolve = Callable[[Sequence[bytes]], list[tuple[bytes, ArchiveHit]]]
"""Live entries with the given hashes, each with its hash."""


class Archive:
    """An opened archive.

    Attributes:
        name: of its folder.
        at: Unix time of the build; what was listed earlier is in it, what was listed later is not.
    """

    def __init__(self, folder: Path, resolve: Resolve) -> None:
        self.name = folder.name
        self._index = hamming.MultiIndex.open(folder)
        limits = np.load(folder / _LIMITS, mmap_mode="r", allow_pickle=False)
        self._limits: NDArray[np.uint8] = limits.view(np.ndarray)
        self.at = float(json.loads((folder / "meta.json").read_text(encoding="utf-8"))["at"])
        self._resolve = resolve
        if len(self._limits) != len(self._index.codes):
            raise ValueError("the arrays of the archive do not belong together")

    def __len__(self) -> int:
        return len(self._limits)

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self._index.nbytes + int(self._limits.nbytes)

    def search(self, hashes: NDArray[np.uint8]) -> list[ArchiveHit]:
        """Live entries near any of (k, 32) hashes.

        Raises:
            RecordError: the database cannot be read.
        """
        hits = self._index.search(hamming.words(hashes), self._index.reach)
        near = hits.distance <= self._limits[hits.row]
        if not near.any():
            return []
        rows, queries, distances = hits.row[near], hits.query[near], hits.distance[near]
        codes = [self._index.codes[row].tobytes() for row in rows]
        entries = self._resolve(sorted(set(codes)))
        found = []
        for code, query, distance in zip(codes, queries, distances, strict=True):
            for held, entry in entries:
                if held == code and distance <= entry.limit:
                    found.append(ArchiveHit(int(query), int(distance), entry.limit, entry.id, entry.bank, entry.inert))
        return found


class Archives:
    """The folder of archives: which is current, and who may build."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_dir / "index"
        self._lock = self._folder / ".building.lock"
        self._open: Archive | None = None

    def current(self, resolve: Resolve) -> Archive | None:
        """The newest archive; None without one, or when it is damaged: it is then built anew."""
        try:
            name = (self._folder / _POINTER).read_text(encoding="utf-8").strip()
            if self._open is None or self._open.name != name:
                self._open = Archive(self._folder / name, resolve)
        except (OSError, ValueError, KeyError):
            self._open = None
        return self._open

    @contextmanager
    def building(self, wait_s: float) -> Iterator[bool]:
        """Whether this process may build now; others may not meanwhile."""
        private_folder(self._folder)
        lock = FileLock(self._lock, mode=0o600)
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise RecordError(f"{self._folder} cannot be used: {error.strerror}") from error
        try:
            yield True
        finally:
            lock.release()

    def build(self, hashes: NDArray[np.uint8], limits: NDArray[np.uint8], at: float) -> None:
        """Write an archive and make it current. The caller holds `building`.

        Raises:
            RecordError: the disk refused.
        """
        folder = self._folder / f"{new_id().lower()}"
        try:
            folder.mkdir(mode=0o700)
            hamming.MultiIndex.build(hashes, REACH).save(folder)
            np.save(folder / _LIMITS, limits)
            (folder / "meta.json").write_text(json.dumps({"at": at}), encoding="utf-8")
            pointer = self._folder / f".{_POINTER}"
            pointer.write_text(folder.name, encoding="utf-8")
            os.replace(pointer, self._folder / _POINTER)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise RecordError(f"the index of the takedown list cannot be written: {error.strerror}") from error
        for old in self._folder.iterdir():
            # processes that still map an older archive keep it until they open the new one
            if old.is_dir() and old.name != folder.name:
                with suppress(OSError):
                    shutil.rmtree(old)
