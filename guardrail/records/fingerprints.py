"""The takedown list: PDQ fingerprints that must never be released."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, or_, select

from guardrail.errors import RecordError
from guardrail.records.database import Database, checked_id, fingerprints
from guardrail.settings import Settings
from guardrail.signals import FingerprintList
from guardrail.verdict import new_id

HASH_BYTES = 32
DEFAULT_DISTANCE = 31
MAX_DISTANCE = 64


@dataclass(frozen=True, slots=True)
class ListedFingerprint:
    """One entry of the list.

    Attributes:
        id: of the entry; verdicts name it as their evidence.
        hash: 64 hex digits.
        distance: differing bits up to which a picture matches.
        ref: whoever listed it calls it so, such as a case number.
        added_at, expires_at: Unix times; None never expires.
    """

    id: str
    hash: str
    distance: int
    ref: str | None
    added_at: float
    expires_at: float | None


class FingerprintStore:
    """Fingerprints with a distance and an expiry of their own.

    Args:
        settings: where the data folder is.

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
        ref: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        """List one hash and return the id of its entry.

        Args:
            hash: 32 bytes, the 256 bits of PDQ (https://github.com/facebook/ThreatExchange/tree/main/pdq).
            distance: differing bits (of 256) up to which a picture matches, 0 to 64.
            ref: an opaque reference, such as a case number.
            expires_at: Unix time from which the entry no longer acts; None for never.

        Raises:
            RecordError: a wrong shape, type, distance, reference or time, or the store cannot be written.
        """
        if not isinstance(hash, np.ndarray) or hash.dtype != np.uint8 or hash.shape != (HASH_BYTES,):
            raise RecordError(f"a fingerprint is {HASH_BYTES} bytes", advice="Use guardrail.vision.fingerprint.pdq.")
        if isinstance(distance, bool) or not isinstance(distance, int) or not 0 <= distance <= MAX_DISTANCE:
            raise RecordError(f"a distance is 0 to {MAX_DISTANCE} bits", advice="31 is the usual one for PDQ.")
        if expires_at is not None and not math.isfinite(expires_at):
            raise RecordError("an expiry is a Unix time in seconds", advice="Leave it out for never.")
        chosen = f"fp-{new_id().lower()}"
        row = {
            "id": chosen,
            "at": time.time(),
            "hash": hash.tobytes(),
            "distance": distance,
            "ref": None if ref is None else checked_id(ref, "a reference"),
            "expires_at": expires_at,
        }
        with self._database.write() as connection:
            connection.execute(insert(fingerprints).values(**row))
            self._database.bump(connection, "fingerprints")
        return chosen

    def remove(self, id: str) -> bool:
        """Take an entry off the list; false when there is none with this id.

        Raises:
            RecordError: the store cannot be written.
        """
        with self._database.write() as connection:
            found = connection.execute(delete(fingerprints).where(fingerprints.c.id == id)).rowcount > 0
            if found:
                self._database.bump(connection, "fingerprints")
        return found

    def list(self) -> list[ListedFingerprint]:
        """Every entry, oldest first, expired ones among them.

        Raises:
            RecordError: the store cannot be read.
        """
        with self._database.read() as connection:
            rows = connection.execute(select(fingerprints).order_by(fingerprints.c.at, fingerprints.c.id)).all()
        return [
            ListedFingerprint(row.id, row.hash.hex(), row.distance, row.ref, row.at, row.expires_at) for row in rows
        ]

    def version(self) -> int:
        """Grows with every change, but not when an entry expires.

        Raises:
            RecordError: the store cannot be read.
        """
        with self._database.read() as connection:
            return self._database.version(connection, "fingerprints")

    def current(self) -> tuple[FingerprintList, float | None]:
        """Entries that act now as read-only arrays, and the Unix time when the next of them expires.

        Raises:
            RecordError: the store cannot be read.
        """
        now = time.time()
        live = or_(fingerprints.c.expires_at.is_(None), fingerprints.c.expires_at > now)
        with self._database.read() as connection:
            version = self._database.version(connection, "fingerprints")
            rows = connection.execute(
                select(fingerprints).where(live).order_by(fingerprints.c.at, fingerprints.c.id)
            ).all()
        hashes = np.frombuffer(b"".join(row.hash for row in rows), np.uint8).reshape(-1, HASH_BYTES)
        distances = np.array([row.distance for row in rows], np.int64)
        distances.flags.writeable = False
        expiries = [row.expires_at for row in rows if row.expires_at is not None]
        found = FingerprintList(version, tuple(row.id for row in rows), hashes, distances)
        return found, min(expiries, default=None)

    def close(self) -> None:
        """Release the file."""
        self._database.close()
