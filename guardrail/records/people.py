"""Enrolled, protected people: encrypted face templates that can be erased."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import Row, delete, insert, select

from guardrail.errors import RecordError
from guardrail.records.database import Database, checked_id, people
from guardrail.records.vault import Vault
from guardrail.settings import Settings
from guardrail.signals import FaceGallery
from guardrail.verdict import new_id

DIMENSIONS = 128
MAX_TEMPLATES = 64

_SPACE = b"T2"
"""Which templates these are: they compare only with others that were made in the same way."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled; the templates themselves are not part of it."""

    id: str
    label: str | None
    templates: int
    enrolled_at: float


class PeopleStore:
    """Face templates and labels, AES-256-GCM encrypted with the person's id bound to them.

    Args:
        settings: where the data folder is.

    Raises:
        RecordError: the data folder or its keys cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._vault = Vault(settings)
        self._database = Database(settings)

    def enrol(self, vectors: ArrayLike, *, person_id: str | None = None, label: str | None = None) -> str:
        """Store templates of one person and return their id.

        Args:
            vectors: (n, 128) or (128,) float32, n from 1 to 64; they are brought to unit length here.
            person_id: an opaque id; made up when None. Somebody enrolled under it is replaced.
            label: a name for the operator's eyes, encrypted too.

        Raises:
            RecordError: wrong shape, not finite, an id or label that cannot be stored, the store cannot be written, or
                its records open with another key than this one.
        """
        rows = _unit_rows(vectors)
        chosen = f"person-{new_id().lower()}" if person_id is None else checked_id(person_id, "a person's id")
        try:
            name = None if label is None else self._vault.seal(label.encode(), chosen)
        except UnicodeEncodeError:
            raise RecordError("the label is not valid Unicode text", advice="Send the label as UTF-8.") from None
        sealed = self._vault.seal(_SPACE + rows.tobytes(), chosen)
        row = {"id": chosen, "at": time.time(), "label": name, "templates": sealed, "number": len(rows)}
        with self._database.write() as connection:
            # with a wrong key, one more record would make a store that no key opens whole
            other = connection.execute(select(people).where(people.c.id != chosen).limit(1)).first()
            if other is not None:
                self._vault.unseal(other.templates, other.id)
            replaced = connection.execute(delete(people).where(people.c.id == chosen)).rowcount
            connection.execute(insert(people).values(**row))
            self._database.bump(connection, "people")
        if replaced:
            self._database.scrub()
        return chosen

    def erase(self, person_id: str) -> bool:
        """Remove a person so that their bytes are gone from every file; false when nobody has this id.

        Raises:
            RecordError: the store cannot be written, or is so busy that old bytes may linger: call it again.
        """
        with self._database.write() as connection:
            found = connection.execute(delete(people).where(people.c.id == person_id)).rowcount > 0
            if found:
                self._database.bump(connection, "people")
        self._database.scrub()
        return found

    def list(self) -> list[Person]:
        """Everybody enrolled, oldest first.

        Raises:
            RecordError: the store cannot be read, or a label not be decrypted.
        """
        with self._database.read() as connection:
            rows = connection.execute(select(people).order_by(people.c.at, people.c.id)).all()
        return [
            Person(
                row.id,
                None if row.label is None else self._vault.unseal(row.label, row.id).decode(),
                row.number,
                row.at,
            )
            for row in rows
        ]

    def version(self) -> int:
        """Grows with every change.

        Raises:
            RecordError: the store cannot be read.
        """
        with self._database.read() as connection:
            return self._database.version(connection, "people")

    def gallery(self) -> FaceGallery:
        """Every template with its owner; the vectors are read-only.

        Raises:
            RecordError: the store cannot be read, or a template not be decrypted: a wrong key or a changed file.
        """
        with self._database.read() as connection:
            version = self._database.version(connection, "people")
            rows = connection.execute(select(people).order_by(people.c.at, people.c.id)).all()
        ids: list[str] = []
        vectors = [np.zeros((0, DIMENSIONS), np.float32)]
        for row in rows:
            vectors.append(self._opened(row))
            ids += [row.id] * row.number
        together = np.concatenate(vectors)
        together.flags.writeable = False
        return FaceGallery(version, tuple(ids), together)

    def templates(self, person_id: str) -> NDArray[np.float32] | None:
        """The (n, 128) templates of one person, or None when nobody has this id.

        Raises:
            RecordError: as for `gallery`.
        """
        with self._database.read() as connection:
            row = connection.execute(select(people).where(people.c.id == person_id)).first()
        return None if row is None else self._opened(row)

    def _opened(self, row: Row[Any]) -> NDArray[np.float32]:
        opened = self._vault.unseal(row.templates, row.id)
        if not opened.startswith(_SPACE):
            raise RecordError(
                f"the templates of {row.id} were made by an earlier version and compare with nothing",
                advice="Erase them and enrol again from pictures.",
            )
        if len(opened) - len(_SPACE) != row.number * DIMENSIONS * 4:
            raise RecordError(f"the record of {row.id} has the wrong size", advice="Erase it and enrol again.")
        return np.frombuffer(opened, np.float32, offset=len(_SPACE)).reshape(-1, DIMENSIONS)

    def close(self) -> None:
        """Release the file."""
        self._database.close()


def _unit_rows(vectors: ArrayLike) -> NDArray[np.float32]:
    advice = "Enrol from pictures of the face, with guardrail.vision.templates.template."
    try:
        rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    except (TypeError, ValueError):
        raise RecordError("face templates are numbers", advice=advice) from None
    if rows.ndim != 2 or rows.shape[1] != DIMENSIONS or not 1 <= len(rows) <= MAX_TEMPLATES:
        raise RecordError(f"face templates have the shape (1 to {MAX_TEMPLATES}, {DIMENSIONS})", advice=advice)
    # In double precision, where the length of any finite float32 vector is finite too.
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise RecordError("face templates are finite and not zero", advice=advice)
    unit: NDArray[np.float32] = (rows / lengths).astype(np.float32)
    return unit
