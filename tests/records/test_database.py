import sqlite3
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from guardrail.errors import RecordError
from guardrail.records import database
from guardrail.records.database import FILE_NAME, SCHEMA_VERSION, Database, checked_id, people
from guardrail.settings import Settings
from tests.records.parts import together


def _rows(settings: Settings, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(settings.data_dir / FILE_NAME)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.commit()
        connection.close()


def test_the_file_states_its_schema_and_is_for_its_owner_alone(settings: Settings) -> None:
    database = Database(settings)
    with database.write() as connection:
        database.bump(connection, "people")
    assert _rows(settings, "select value from meta where name = 'schema'") == [(SCHEMA_VERSION,)]
    files = [file for file in settings.data_dir.iterdir() if file.is_file()]
    assert {FILE_NAME, f"{FILE_NAME}-wal"} <= {file.name for file in files}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    database.close()


def test_every_connection_is_durable_and_overwrites_what_it_deletes(settings: Settings) -> None:
    database = Database(settings)
    with database.read() as first, database.read() as second:
        for connection in (first, second):
            found = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "secure_delete")
            ]
            assert found == ["wal", 2, 1]
    database.close()


def test_a_newer_schema_is_refused_and_left_alone(settings: Settings) -> None:
    Database(settings).close()
    _rows(settings, f"update meta set value = {SCHEMA_VERSION + 1} where name = 'schema'")
    before = (settings.data_dir / FILE_NAME).read_bytes()
    with pytest.raises(RecordError, match="another version") as caught:
        Database(settings)
    assert "Update guardrail" in caught.value.advice
    assert (settings.data_dir / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database at all, just words " * 40, b"SQLite format 3\0" + bytes(4096)])
def test_a_damaged_file_is_an_error(settings: Settings, content: bytes) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / FILE_NAME).write_bytes(content)
    with pytest.raises(RecordError, match=FILE_NAME):
        Database(settings)


def test_a_folder_in_place_of_the_file_is_an_error(settings: Settings) -> None:
    (settings.data_dir / FILE_NAME).mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot be opened or made"):
        Database(settings)


def test_a_failed_transaction_keeps_nothing_and_its_error_quotes_nothing(settings: Settings) -> None:
    database = Database(settings)
    row = {"id": "p", "at": 1.0, "templates": b"marker-bytes", "number": 1}
    with pytest.raises(RecordError, match="SQLITE_CONSTRAINT") as caught, database.write() as connection:
        connection.execute(people.insert().values([row, row]))
    assert caught.value.__cause__ is None
    assert "marker" not in str(caught.value)
    with database.read() as connection:
        assert connection.execute(people.select()).all() == []
    database.close()


def test_nothing_is_written_to_a_file_that_was_removed(settings: Settings, tmp_path: Path) -> None:
    database = Database(settings)
    database.path.rename(tmp_path / "aside")
    with pytest.raises(RecordError, match="was removed or replaced"), database.write():
        pytest.fail("a transaction began")
    database.path.write_bytes(b"")
    with pytest.raises(RecordError, match="was removed or replaced"), database.write():
        pytest.fail("a transaction began")
    database.path.unlink()
    (tmp_path / "aside").rename(database.path)
    with database.write() as connection:
        database.bump(connection, "people")
    database.close()


def test_processes_that_start_at_once_make_one_file(settings: Settings) -> None:
    imports = "from guardrail.records.database import Database"
    assert together("Database(settings).close()\nprint('made')", settings, 4, imports=imports) == ["made"] * 4
    assert _rows(settings, "select count(*) from meta") == [(4,)]


def test_a_start_that_never_ends_elsewhere_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_S", 0.1)
    settings.data_dir.mkdir()
    with FileLock(settings.data_dir / ".starting.lock"), pytest.raises(RecordError, match="another process"):
        Database(settings)
    Database(settings).close()


def test_an_id_is_opaque() -> None:
    assert checked_id("case-2026/11.4:a_b", "a reference") == "case-2026/11.4:a_b"
    for wrong in ("", "-a", "two words", "ä", "a\n", "a" * 129, "\ud800"):
        with pytest.raises(RecordError, match="a reference must be"):
            checked_id(wrong, "a reference")
