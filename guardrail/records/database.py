"""One SQLite file in the data folder; the tables are SQLAlchemy Core so that a shared database can take their place."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
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
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from guardrail.errors import RecordError
from guardrail.records.vault import private_folder
from guardrail.settings import Settings

SCHEMA_VERSION = 3
FILE_NAME = "guardrail.sqlite3"
_BUSY_S = 5.0
_ARCHIVED_DISTANCE = 31
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")

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
    Column("ref", String),
    Column("expires_at", Float),
    Column("bank", String),
    Column("variants", LargeBinary),
    Column("held_at", Float),
    Column("own", Integer),
    Index("fingerprints_own", "own"),
    Index("fingerprints_hash", "hash"),
    Index("fingerprints_at", "at"),
)

banks = Table(
    "banks",
    metadata,
    Column("name", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("spec", Text, nullable=False),
)

sightings = Table(
    "sightings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("entry", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("sightings_entry", "entry"),
)

names = Table(
    "names",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("entry", LargeBinary, nullable=False),
)
_COUNTERS = ("people", "fingerprints", "names")


class Database:
    """The open file. Safe to use from several threads and processes.

    Raises:
        RecordError: the file cannot be opened or made, or was written by a newer version.
    """

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir / FILE_NAME
        private_folder(settings.data_dir)
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._file = _identity(self.path)
        except OSError as error:
            raise RecordError(f"{self.path} cannot be opened or made: {error.strerror}") from error
        self.engine = _engine(self.path)
        self._writing = self.engine.execution_options(writes=True)
        try:
            # Turning a new file to write-ahead logging fails at once, without waiting, when two processes try together.
            with FileLock(settings.data_dir / ".starting.lock", timeout=_BUSY_S, mode=0o600):
                self._prepare()
        except (RecordError, OSError) as error:
            self.close()
            if isinstance(error, RecordError):
                raise
            waited = isinstance(error, Timeout)
            reason = "another process is making it" if waited else error.strerror
            raise RecordError(f"{self.path} cannot be prepared: {reason}") from None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the file.

        Raises:
            RecordError: the file cannot be read.
        """
        with self._transaction(self.engine) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is kept whole or not at all, and is on the disk when this returns.

        Raises:
            RecordError: the database refused (full disk, locked for 5 s, file removed); nothing is kept.
        """
        self._check_file()
        # Taking the write lock at once makes a second writer wait for its turn instead of failing half-way.
        with self._transaction(self._writing) as connection:
            yield connection

    def scrub(self) -> None:
        """Move everything into the main file and empty the write-ahead log, where deleted rows would linger.

        Raises:
            RecordError: other processes kept the log busy; deleted rows no longer act but may be left in it.
        """
        until = time.monotonic() + _BUSY_S
        while True:
            try:
                with closing(self.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
                    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    busy, _, _ = cursor.fetchone() or (0, 0, 0)
            except (sqlite3.Error, SQLAlchemyError) as error:
                raise _failure(self.path, error) from None
            if not busy:
                return
            if time.monotonic() > until:
                raise RecordError(
                    f"{self.path.name}-wal is in use and may still hold deleted rows",
                    advice="Run the same command again; the deleted record no longer acts.",
                )
            time.sleep(0.05)

    def bump(self, connection: Connection, name: str) -> None:
        """Raise a version counter, so that readers notice a change."""
        connection.execute(update(meta).where(meta.c.name == name).values(value=meta.c.value + 1))

    def version(self, connection: Connection, name: str) -> int:
        """Value of a version counter."""
        return int(connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one())

    def close(self) -> None:
        """Release the file."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            # Not chained: the driver's own error can quote what was to be stored.
            raise _failure(self.path, error) from None

    def _prepare(self) -> None:
        with self.read() as connection:
            known = inspect(connection).has_table(meta.name)
            if known and _checked_version(connection, self.path) == SCHEMA_VERSION:
                return
        with self.write() as connection:
            # Every version so far only added tables, columns that may be empty, indexes and counters, so an older file
            # is completed as a new one is made.
            _add_columns(connection)
            metadata.create_all(connection)
            for index in (index for table in metadata.tables.values() for index in table.indexes):
                index.create(connection, checkfirst=True)
            held = set(connection.execute(select(meta.c.name)).scalars())
            new = [{"name": name, "value": 0} for name in (*_COUNTERS, "schema") if name not in held]
            if new:
                connection.execute(insert(meta), new)
            connection.execute(update(meta).where(meta.c.name == "schema").values(value=SCHEMA_VERSION))

    def _check_file(self) -> None:
        # SQLite goes on writing to a file that was removed, and every decision would be lost unseen.
        try:
            same = _identity(self.path) == self._file
        except OSError:
            same = False
        if not same:
            raise RecordError(f"{self.path} was removed or replaced", advice="Put it back, or start again.")


def checked_id(value: str, what: str) -> str:
    """The value, when it can serve as an opaque id.

    Raises:
        RecordError: it is not 1 to 128 ASCII letters, digits and `. _ : / -`.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise RecordError(
            f"{what} must be 1 to 128 ASCII letters, digits, or . _ : / -",
            advice="Use an opaque id, such as a case number; names belong into the label.",
        )
    return value


def _add_columns(connection: Connection) -> None:
    held = inspect(connection)
    for table in metadata.tables.values():
        if not held.has_table(table.name):
            continue
        known = {column["name"] for column in held.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                kind = column.type.compile(connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}")
                if column is fingerprints.c.own:
                    far = fingerprints.c.distance > _ARCHIVED_DISTANCE
                    connection.execute(update(fingerprints).where(far).values(own=1))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_S}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        # The driver would begin transactions by guesswork; the next listener begins them where they start.
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _failure(path: Path, error: Exception) -> RecordError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return RecordError(f"{path.name}: {getattr(cause, 'sqlite_errorname', type(cause).__name__)}")


def _checked_version(connection: Connection, path: Path) -> int:
    found = connection.execute(select(meta.c.value).where(meta.c.name == "schema")).scalar_one_or_none()
    if found is None or found > SCHEMA_VERSION:
        raise RecordError(
            f"{path} was written by another version (schema {found}, this one knows {SCHEMA_VERSION})",
            advice="Update guardrail, or point GUARDRAIL_DATA_DIR at another folder.",
        )
    return int(found)
