"""The operator's list of names: people whom prompts must not mean, encrypted, and read from CSV."""

from __future__ import annotations

import csv
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson
from sqlalchemy import delete, insert, select

from guardrail.errors import InputError, RecordError
from guardrail.records.database import Database, checked_id, names
from guardrail.records.vault import Vault
from guardrail.settings import Settings
from guardrail.signals import ListedName, NameList
from guardrail.verdict import new_id

KINDS = ("private", "public", "staff")
COLUMNS = ("name", "aliases", "kind", "protected", "born", "died", "id")
MAX_NAMES = 200_000
MAX_ALIASES = 32
MAX_CHARS = 200
_YES, _NO = ("yes", "true", "1"), ("", "no", "false", "0")


def column_advice() -> str:
    """What a CSV of names looks like, in a sentence or two."""
    return f"Columns: {', '.join(COLUMNS)}; all but name may be left out. Aliases are separated by |."


_ADVICE = column_advice()


class NamesStore:
    """Names, AES-256-GCM encrypted with the entry's id bound to them.

    Args:
        settings: where the data folder is.

    Raises:
        RecordError: the data folder or its keys cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._vault = Vault(settings)
        self._database = Database(settings)

    def add(self, entries: Iterable[ListedName]) -> list[str]:
        """List people and return the ids of their entries; an entry with an empty id gets one.

        An entry of the same name, whatever its case, or of the same id takes the place of the old one and keeps its id.

        Raises:
            InputError: an entry cannot be listed, or the list would be too long; nobody is listed then.
            RecordError: the store cannot be written.
        """
        checked = [_checked(entry) for entry in entries]
        with self._database.write() as connection:
            rows = connection.execute(select(names.c.id, names.c.entry)).all()
            known = {_key(entry.name): entry.id for entry in map(self._opened, rows)}
            held = {row.id for row in rows}
            chosen: dict[str, ListedName] = {}
            for entry in checked:
                id = entry.id or known.get(_key(entry.name)) or f"name-{new_id().lower()}"
                known[_key(entry.name)] = id
                chosen[id] = replace(entry, id=id)
            if len(held | chosen.keys()) > MAX_NAMES:
                raise InputError(f"more than {MAX_NAMES} names", advice="Remove entries that no longer matter.")
            replaced = held & chosen.keys()
            for id in replaced:
                connection.execute(delete(names).where(names.c.id == id))
            new = [
                {"id": id, "at": time.time(), "entry": self._vault.seal(orjson.dumps(asdict(entry)), id)}
                for id, entry in chosen.items()
            ]
            if new:
                connection.execute(insert(names), new)
                self._database.bump(connection, "names")
        if replaced:
            self._database.scrub()
        return list(chosen)

    def remove(self, id: str) -> bool:
        """Take an entry off the list so that the name is gone from every file; false when there is none.

        Raises:
            RecordError: the store cannot be written, or is so busy that old bytes may linger: call it again.
        """
        with self._database.write() as connection:
            found = connection.execute(delete(names).where(names.c.id == id)).rowcount > 0
            if found:
                self._database.bump(connection, "names")
        self._database.scrub()
        return found

    def current(self) -> NameList:
        """The whole list, oldest first.

        Raises:
            RecordError: the store cannot be read, or an entry not be decrypted: a wrong key or a changed file.
        """
        with self._database.read() as connection:
            version = self._database.version(connection, "names")
            rows = connection.execute(select(names).order_by(names.c.at, names.c.id)).all()
        return NameList(version, tuple(map(self._opened, rows)))

    def version(self) -> int:
        """Grows with every change.

        Raises:
            RecordError: the store cannot be read.
        """
        with self._database.read() as connection:
            return self._database.version(connection, "names")

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def _opened(self, row: Any) -> ListedName:
        data = orjson.loads(self._vault.unseal(row.entry, row.id))
        return ListedName(**{**data, "aliases": tuple(data["aliases"])})


def read_names(lines: Iterable[str], source: str = "the list") -> Iterator[ListedName]:
    """Entries of a CSV with a header; the byte order mark that spreadsheets write is taken off.

    Args:
        lines: of the file, with their ends.
        source: what errors call it.

    Raises:
        InputError: a column is missing or unknown, or a row cannot be listed; the line is named, the content is not.
    """
    rows = csv.DictReader(_without_mark(lines), strict=True)
    try:
        header = [str(column).strip().lower() for column in rows.fieldnames or ()]
        if "name" not in header or not set(header) <= set(COLUMNS) or len(set(header)) < len(header):
            raise InputError(f"{source}: line 1 is not the header of a list of names", advice=_ADVICE)
        rows.fieldnames = header
        for row in rows:
            try:
                yield _entry(row)
            except InputError as error:
                raise InputError(f"{source}: line {rows.line_num}: {error}", advice=error.advice) from None
    except (csv.Error, UnicodeDecodeError) as error:
        kind = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "is not CSV"
        raise InputError(f"{source}: line {rows.line_num + 1} {kind}", advice=_ADVICE) from None


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line


def _entry(row: Mapping[str | None, Any]) -> ListedName:
    if None in row or None in row.values():
        raise InputError("the row has more or fewer fields than the header", advice=_ADVICE)
    cell = {str(key): str(value).strip() for key, value in row.items()}
    protected = cell.get("protected", "").lower()
    if protected not in (*_YES, *_NO):
        raise InputError("protected is yes or no", advice=_ADVICE)
    return _checked(
        ListedName(
            cell.get("id", ""),
            cell["name"],
            tuple(alias.strip() for alias in cell.get("aliases", "").split("|") if alias.strip()),
            cell.get("kind", "").lower() or "private",
            protected in _YES,
            _year(cell.get("born", "")),
            _year(cell.get("died", "")),
        )
    )


def _year(text: str) -> int | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise InputError("a year is a whole number", advice=_ADVICE) from None


def _checked(entry: ListedName) -> ListedName:
    spellings: Sequence[str] = (entry.name, *entry.aliases)
    if entry.id:
        try:
            checked_id(entry.id, "the id of a listed name")
        except RecordError as error:
            raise InputError(str(error), advice=error.advice) from None
    if entry.kind not in KINDS:
        raise InputError(f"kind is one of {', '.join(KINDS)}", advice=_ADVICE)
    if len(entry.aliases) > MAX_ALIASES:
        raise InputError(f"more than {MAX_ALIASES} aliases", advice="Make a second entry.")
    for spelling in spellings:
        if not 2 <= len(spelling) <= MAX_CHARS or sum(map(str.isalpha, spelling)) < 2:
            raise InputError(f"a name has 2 to {MAX_CHARS} characters, two letters at least", advice=_ADVICE)
        if any(0xD800 <= ord(letter) < 0xE000 for letter in spelling):
            raise InputError("a name is not valid Unicode text", advice="Send it as UTF-8.")
    if any(year is not None and not -10_000 < year < 10_000 for year in (entry.born, entry.died)):
        raise InputError("a year lies between -9999 and 9999", advice=_ADVICE)
    return entry


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
