"""Enrolled, protected people: encrypted face templates that can be erased."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select, text

from guardrail.errors import RecordError
from guardrail.records.database import Database, people
from guardrail.records.vault import Vault
from guardrail.settings import Settings
from guardrail.signals import FaceGallery
from guardrail.verdict import new_id

DIMENSIONS = 128


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled; the templates themselves are not part of it."""

    id: str
    label: str | None
    templates: int
    enrolled_at: float


class PeopleStore:
    """Face templates, AES-256-GCM encrypted with the person's id bound to them.

    Raises:
        RecordError: the data folder or its keys cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings)
        self._vault = Vault(settings)

    def enrol(self, vectors: NDArray[np.float32], *, person_id: str | None = None, label: str | None = None) -> str:
        """Store templates of one person and return their id.

        Args:
            vectors: (n, 128) or (128,), unit length is made here.
            person_id: to be chosen by the caller; made up when None. An id that exists is replaced.
            label: a name for the operator's eyes, encrypted too.

        Raises:
            RecordError: wrong shape, not finite, or the store cannot be written.
        """
        rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if rows.ndim != 2 or rows.shape[1] != DIMENSIONS or not np.isfinite(rows).all() or (lengths == 0).any():
            raise RecordError(f"a template has {DIMENSIONS} finite numbers", advice="Enrol from a picture of the face.")
        chosen = person_id or f"person-{new_id().lower()}"
        sealed = self._vault.seal((rows / lengths).tobytes(), chosen)
        name = self._vault.seal(label.encode(), chosen) if label else None
        row = {"id": chosen, "at": time.time(), "label": name, "templates": sealed, "number": len(rows)}
        with self._database.begin() as connection:
            connection.execute(delete(people).where(people.c.id == chosen))
            connection.execute(insert(people).values(**row))
            self._database.bump(connection, "people")
        return chosen

    def erase(self, person_id: str) -> bool:
        """Remove a person so that their bytes are gone from the file; false when nobody has this id."""
        with self._database.begin() as connection:
            found = connection.execute(delete(people).where(people.c.id == person_id)).rowcount
            self._database.bump(connection, "people")
        with self._database.engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return found > 0

    def list(self) -> list[Person]:
        """Everybody enrolled, oldest first.

        Raises:
            RecordError: a label cannot be decrypted.
        """
        with self._database.begin() as connection:
            rows = connection.execute(select(people).order_by(people.c.at)).all()
        return [
            Person(row.id, self._vault.unseal(row.label, row.id).decode() if row.label else None, row.number, row.at)
            for row in rows
        ]

    def version(self) -> int:
        """Grows with every change."""
        with self._database.begin() as connection:
            return self._database.version(connection, "people")

    def gallery(self) -> FaceGallery:
        """Every template with its owner.

        Raises:
            RecordError: a template cannot be decrypted: a wrong key or a changed file.
        """
        with self._database.begin() as connection:
            version = self._database.version(connection, "people")
            rows = connection.execute(select(people).order_by(people.c.at)).all()
        ids: list[str] = []
        vectors = [np.zeros((0, DIMENSIONS), np.float32)]
        for row in rows:
            opened = np.frombuffer(self._vault.unseal(row.templates, row.id), np.float32)
            if opened.size != row.number * DIMENSIONS:
                raise RecordError(f"the record of {row.id} has the wrong size", advice="Erase it and enrol again.")
            vectors.append(opened.reshape(-1, DIMENSIONS))
            ids += [row.id] * row.number
        return FaceGallery(version, tuple(ids), np.concatenate(vectors))

    def close(self) -> None:
        """Release the file."""
        self._database.close()
