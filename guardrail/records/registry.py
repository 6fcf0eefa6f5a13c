"""`guardrail.detector.Registry` over the local stores: read from memory, refreshed after changes by any process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from guardrail.records.fingerprints import FingerprintStore
from guardrail.records.names import NamesStore
from guardrail.records.people import PeopleStore
from guardrail.settings import Settings
from guardrail.signals import FaceGallery, FingerprintList, NameList

POLL_S = 1.0
"""How old an answer may be: a takedown acts everywhere within two seconds."""

_T = TypeVar("_T")


class LocalRegistry:
    """Enrolled people, listed fingerprints and listed names. Safe to use from several threads.

    Args:
        settings: where the data folder is.

    Raises:
        RecordError: the stores cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._people = PeopleStore(settings)
        self._fingerprints = FingerprintStore(settings)
        self._faces = _Polled(self._people.version, lambda: (self._people.gallery(), None))
        self._listed = _Polled(self._fingerprints.version, self._load_listed)
        self._names = NamesStore(settings)
        self._named = _Polled(self._names.version, lambda: (self._names.current(), None))
        self._expiries = 0

    def faces(self) -> FaceGallery:
        """Every enrolled template, at most a second old.

        Raises:
            RecordError: the store cannot be read; a detector that needs it then fails, and the verdict closes.
        """
        return self._faces.get()

    def fingerprints(self) -> FingerprintList:
        """Every entry of the takedown list that acts now, at most a second old.

        Raises:
            RecordError: as for `faces`.
        """
        return self._listed.get()

    def names(self) -> NameList:
        """The operator's list of names, at most a second old.

        Raises:
            RecordError: as for `faces`.
        """
        return self._named.get()

    def close(self) -> None:
        """Release the files."""
        self._names.close()
        self._people.close()
        self._fingerprints.close()

    def _load_listed(self) -> tuple[FingerprintList, float | None]:
        found, expires = self._fingerprints.current()
        # An entry that expires changes the list without a write, yet detectors must see another version.
        self._expiries += self._listed.expired
        return replace(found, version=found.version + self._expiries), expires


class _Polled(Generic[_T]):
    """A value held in memory, loaded anew when its version has changed or its time has come.

    Args:
        version: cheap; asked at most once in `POLL_S`.
        load: the value, and the Unix time at which it changes by itself, or None.
    """

    def __init__(self, version: Callable[[], int], load: Callable[[], tuple[_T, float | None]]) -> None:
        self._version = version
        self._load = load
        self._lock = threading.Lock()
        self._held: tuple[_T, float] | None = None
        self._seen = -1
        self._expires: float | None = None

    @property
    def expired(self) -> bool:
        """Whether the value's own time has come."""
        return self._expires is not None and time.time() >= self._expires

    def get(self) -> _T:
        held = self._held
        if held is not None and time.monotonic() - held[1] < POLL_S:
            return held[0]
        with self._lock:
            held = self._held
            now = time.monotonic()
            if held is not None and now - held[1] < POLL_S:
                return held[0]
            # The version is read before the value: a change between the two is found by the next poll.
            version = self._version()
            if held is None or version != self._seen or self.expired:
                value, self._expires = self._load()
                self._seen = version
            else:
                value = held[0]
            self._held = (value, now)
            return value
