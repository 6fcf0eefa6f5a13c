"""`guardrail.detector.Registry` over the local stores: read from memory, refreshed after changes by any process."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from guardrail.records.fingerprints import FingerprintStore
from guardrail.records.people import PeopleStore
from guardrail.settings import Settings
from guardrail.signals import FaceGallery, FingerprintList

POLL_S = 1.0
"""How old an answer may be: a takedown acts everywhere within two seconds."""


class LocalRegistry:
    """Enrolled people and listed fingerprints.

    Args:
        settings: where the data folder is.

    Raises (also from its methods):
        RecordError: the stores cannot be read; a detector that needs them then fails, and the verdict closes.
    """

    def __init__(self, settings: Settings) -> None:
        self._people = PeopleStore(settings)
        self._fingerprints = FingerprintStore(settings)
        self._lock = threading.Lock()
        self._gallery: FaceGallery | None = None
        self._listed: FingerprintList | None = None
        self._faces_checked = self._listed_checked = 0.0
        self._expires: float | None = None
        self._expired = 0

    def faces(self) -> FaceGallery:
        """Every enrolled template, at most a second old."""
        gallery = self._gallery
        if gallery is not None and time.monotonic() - self._faces_checked < POLL_S:
            return gallery
        with self._lock:
            if self._gallery is None or self._people.version() != self._gallery.version:
                self._gallery = self._people.gallery()
            self._faces_checked = time.monotonic()
            return self._gallery

    def fingerprints(self) -> FingerprintList:
        """Every entry of the takedown list that acts now, at most a second old."""
        listed = self._listed
        if listed is not None and time.monotonic() - self._listed_checked < POLL_S:
            return listed
        with self._lock:
            passed = self._expires is not None and time.time() >= self._expires
            if self._listed is None or passed or self._fingerprints.version() != self._listed.version - self._expired:
                found, self._expires = self._fingerprints.current()
                # An expiry changes the list without a write; the version must differ all the same.
                self._expired += int(passed)
                self._listed = replace(found, version=found.version + self._expired)
            self._listed_checked = time.monotonic()
            return self._listed

    def close(self) -> None:
        """Release the files."""
        self._people.close()
        self._fingerprints.close()
