"""The takedown list: PDQ fingerprints that must never be released."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, or_, select

from guardrail.errors import RecordError
from guardrail.records.database import Database, fingerprints
from guardrail.settings import Settings
from guardrail.signals import FingerprintList
from guardrail.verdict import new_id

HASH_BYTES = 32
DEFAULT_DISTANCE = 31
MAX_DISTANCE = 64


@dataclass(frozen=True, slots=True)
class ListedFingerprint:
    """One entry of the list."""

    id: str
    hash: str
    distance: int
    added_at: float
    expires_at: float | None


class FingerprintStore:
    """Fingerprints with a distance and an expiry of their own.

    Raises:
        RecordError: the data folder cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings)

    def add(
        self,
        hash: NDArray[np.uint8],
        *,
        distance: int = DEFAULT_DISTANCE,
        id: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        """List one hash and return its id.

        Args:
            hash: 32 bytes, the 256 bits of PDQ.
            distance: differing bits (of 256) up to which a picture matches, 0 to 64.
            id: to be chosen by the caller; made up when None. An id that exists is replaced.
            expires_at: Unix time after which the entry no longer acts.

        Raises:
            RecordError: a wrong length or distance, or the store cannot be written.
        """
        raw = np.asarray(hash, dtype=np.uint8).tobytes()
        if len(raw) != HASH_BYTES:
            raise RecordError(f"a fingerprint has {HASH_BYTES} bytes, this one {len(raw)}")
        if not 0 <= distance <= MAX_DISTANCE:
            raise RecordError(f"a distance is 0 to {MAX_DISTANCE} bits", advice="31 is the usual one for PDQ.")
        chosen = id or f"fp-{new_id().lower()}"
        row = {"id": chosen, "at": time.time(), "hash": raw, "distance": distance, "expires_at": expires_at}
        with self._database.begin() as connection:
            connection.execute(delete(fingerprints).where(fingerprints.c.id == chosen))
            connection.execute(insert(fingerprints).values(**row))
            self._database.bump(connection, "fingerprints")
        return chosen

    def remove(self, id: str) -> bool:
        """Take an entry off the list; false when there is none with this id."""
        with self._database.begin() as connection:
            found = connection.execute(delete(fingerprints).where(fingerprints.c.id == id)).rowcount
            self._database.bump(connection, "fingerprints")
        return found > 0

    def list(self) -> list[ListedFingerprint]:
        """Every entry, oldest first, expired ones among them."""
        with self._database.begin() as connection:
            rows = connection.execute(select(fingerprints).order_by(fingerprints.c.at)).all()
        return [ListedFingerprint(row.id, row.hash.hex(), row.distance, row.at, row.expires_at) for row in rows]

    def version(self) -> int:
        """Grows with every change; entries that expire are left out by `current` without one."""
        with self._database.begin() as connection:
            return self._database.version(connection, "fingerprints")

    def current(self) -> tuple[FingerprintList, float | None]:
        """Entries that act now, and when the next of them expires."""
        now = time.time()
        live = or_(fingerprints.c.expires_at.is_(None), fingerprints.c.expires_at > now)
        with self._database.begin() as connection:
            version = self._database.version(connection, "fingerprints")
            rows = connection.execute(select(fingerprints).where(live).order_by(fingerprints.c.at)).all()
        hashes = np.frombuffer(b"".join(row.hash for row in rows), np.uint8).reshape(-1, HASH_BYTES)
        distances = np.array([row.distance for row in rows], np.int64)
        expiries = [row.expires_at for row in rows if row.expires_at is not None]
        found = FingerprintList(version, tuple(row.id for row in rows), hashes, distances)
        return found, min(expiries, default=None)

    def close(self) -> None:
        """Release the file."""
        self._database.close()
