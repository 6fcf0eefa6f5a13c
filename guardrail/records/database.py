"""One SQLite file in the data folder; the tables are SQLAlchemy Core so that a shared database can take their place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from guardrail.errors import RecordError
from guardrail.settings import Settings

SCHEMA_VERSION = 1
FILE_NAME = "guardrail.sqlite3"
_BUSY_MS = 5_000

metadata = MetaData()

meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", Integer, nullable=False))

decisions = Table(
    "decisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("stage", String, nullable=False),
    Column("action", String, nullable=False),
    Column("rule", String),
    Column("subject", String, nullable=False),
    Column("actor", String),
    Column("tenant", String),
    Column("verdict", Text, nullable=False),
    Index("decisions_at", "at"),
)

people = Table(
    "people",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("label", LargeBinary),
    Column("templates", LargeBinary, nullable=False),
    Column("number", Integer, nullable=False),
)

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("distance", Integer, nullable=False),
    Column("expires_at", Float),
)


class Database:
    """The open file. Safe to use from several threads and processes.

    Raises:
        RecordError: the file cannot be opened or made, or was written by a newer version.
    """

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir / FILE_NAME
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            raise RecordError(f"{self.path} cannot be made: {error.strerror}") from error
        self.engine = _engine(self.path)
        with self.begin() as connection:
            metadata.create_all(connection)
            _check_version(connection, self.path)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction.

        Raises:
            RecordError: the database refused; nothing of the transaction is kept.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise RecordError(f"{self.path.name}: {type(error.orig).__name__}") from error

    def bump(self, connection: Connection, name: str) -> None:
        """Raise a version counter, so that readers notice a change."""
        connection.execute(update(meta).where(meta.c.name == name).values(value=meta.c.value + 1))

    def version(self, connection: Connection, name: str) -> int:
        """Value of a version counter."""
        return int(connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one())

    def close(self) -> None:
        """Release the file."""
        self.engine.dispose()


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", f"busy_timeout={_BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _check_version(connection: Connection, path: Path) -> None:
    for name, value in (("schema", SCHEMA_VERSION), ("people", 0), ("fingerprints", 0)):
        try:
            with connection.begin_nested():
                connection.execute(insert(meta).values(name=name, value=value))
        except IntegrityError:
            continue
    found = connection.execute(select(meta.c.value).where(meta.c.name == "schema")).scalar_one()
    if found > SCHEMA_VERSION:
        raise RecordError(
            f"{path} was written by a newer version (schema {found}, this one knows {SCHEMA_VERSION})",
            advice="Update guardrail, or point GUARDRAIL_DATA_DIR at another folder.",
        )
