"""Hash lists as CSV, the way ThreatExchange's tools, hasher-matcher-actioner and clearing houses pass them on."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from guardrail.errors import InputError
from guardrail.records.fingerprints import HASH_BYTES, ListedFingerprint, NewFingerprint

HASHES = ("hash", "pdq", "pdq_hash", "pdqhash", "signal", "signal_value", "indicator", "value", "hash_value")
TYPES = ("signal_type", "hash_type", "type", "indicator_type", "algorithm")
REFS = ("ref", "reference", "id", "descriptor_id", "indicator_id", "content_id", "bank_content_id")
DISTANCES = ("distance", "threshold", "max_distance")
EXPIRIES = ("expires_at", "expire_time", "expires_on", "expiry", "valid_until")
QUALITIES = ("quality", "pdq_quality")
COLUMNS = ("signal_type", "signal", "id", "bank", "distance", "ref", "added_at", "expires_at")
"""Columns of an exported list; `read_hashes` reads them again."""
LEAST_QUALITY = 50
_PDQ = ("", "pdq", "hash_pdq", "photo_pdq", "pdq_hash")
_HEX = re.compile(f"[0-9a-fA-F]{{{2 * HASH_BYTES}}}")
_UNFIT = re.compile(r"[^A-Za-z0-9._:/-]")


def column_advice() -> str:
    """What a hash list looks like, in a few sentences."""
    return (
        f"One hash of 64 hex digits a row; with a header, in the column {', '.join(HASHES[:5])} or alike. "
        "signal_type, id, distance, expires_at and quality are read when they are there."
    )


@dataclass(slots=True)
class Counted:
    """What was left out of a list while it was read."""

    other_types: int = 0
    poor: int = 0
    expired: int = 0


def read_hashes(lines: Iterable[str], counted: Counted) -> Iterator[NewFingerprint]:
    """Entries of a CSV, one at a time.

    Args:
        lines: of text; with a header or with nothing but hashes in the first column.
        counted: told of rows of other signal types, of hashes whose quality is below 50, and of expired rows.

    Raises:
        InputError: a row is broken; the message gives its line.
    """
    reader = csv.reader(lines, strict=True)
    places: dict[str, int] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if places is None:
                places, heading = _places(cells)
                if heading:
                    continue
            entry = _entry(cells, places, reader.line_num, counted)
            if entry is not None:
                yield entry
    except csv.Error as error:
        raise _broken(reader.line_num, f"not CSV ({error})") from None
    except UnicodeDecodeError:
        raise _broken(reader.line_num + 1, "not UTF-8") from None


def write_hashes(entries: Iterable[ListedFingerprint]) -> Iterator[list[str]]:
    """Rows of an exported list, the header first; only plain hashes leave, never those of cuts and turns."""
    yield list(COLUMNS)
    for entry in entries:
        added = datetime.fromtimestamp(entry.added_at, UTC).isoformat(timespec="seconds")
        until = ""
        if entry.expires_at is not None:
            until = datetime.fromtimestamp(entry.expires_at, UTC).isoformat(timespec="seconds")
        yield ["pdq", entry.hash, entry.id, entry.bank, str(entry.distance), entry.ref or "", added, until]


def _places(cells: list[str]) -> tuple[dict[str, int], bool]:
    """Where the fields are, and whether this row is a header."""
    names = [cell.strip().lower().lstrip("\ufeff").replace(" ", "_").replace("-", "_") for cell in cells]
    if _is_hash(names[0]):
        return {"hash": 0}, False
    wanted = {
        "hash": HASHES,
        "type": TYPES,
        "ref": REFS,
        "distance": DISTANCES,
        "expires": EXPIRIES,
        "quality": QUALITIES,
    }
    found = {}
    for field, known in wanted.items():
        # the first name of those known goes first: an exported list has both a ref and an id
        at = next((names.index(name) for name in known if name in names), None)
        if at is not None:
            found[field] = at
    if "hash" not in found:
        raise _broken(1, "neither a hash nor a header with a column for one")
    return found, True


def _entry(cells: list[str], places: dict[str, int], line: int, counted: Counted) -> NewFingerprint | None:
    def cell(field: str) -> str:
        at = places.get(field)
        return cells[at].strip() if at is not None and at < len(cells) else ""

    if cell("type").lower() not in _PDQ:
        counted.other_types += 1
        return None
    text = cell("hash").lower()
    if not _is_hash(text):
        raise _broken(line, f"a PDQ hash is 64 hex digits, here are {len(text)} characters")
    if _number(cell("quality"), line, "quality", 0, 100, LEAST_QUALITY) < LEAST_QUALITY:
        counted.poor += 1
        return None
    expires = _time(cell("expires"), line)
    if expires is not None and expires <= datetime.now(UTC).timestamp():
        counted.expired += 1
        return None
    distance = cell("distance")
    return NewFingerprint(
        np.frombuffer(bytes.fromhex(text), np.uint8),
        _number(distance, line, "distance", 0, 64, 0) if distance else None,
        _UNFIT.sub("-", cell("ref")).lstrip("._:/-")[:128] or None,
        expires,
    )


def _is_hash(text: str) -> bool:
    return _HEX.fullmatch(text) is not None


def _number(text: str, line: int, what: str, low: int, high: int, missing: int) -> int:
    if not text:
        return missing
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise _broken(line, f"a {what} is a whole number from {low} to {high}")
    return value


def _time(text: str, line: int) -> float | None:
    if not text:
        return None
    try:
        if text.isdecimal():
            return float(text) or None
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _broken(line, "an expiry is a Unix time, or a date as 2027-01-31T12:00:00Z") from None


def _broken(line: int, why: str) -> InputError:
    return InputError(f"row {line}: {why}", advice=column_advice())
