"""The takedown list: PDQ fingerprints that must never be released, in banks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from guardrail.errors import RecordError
from guardrail.records.archive import REACH, Archive, Archives
from guardrail.records.banks import DEFAULT_BANK, MAX_DISTANCE, Bank, read_banks, write_bank
from guardrail.records.database import Database, banks, checked_id, fingerprints, sightings
from guardrail.records.vault import Vault
from guardrail.settings import Settings
from guardrail.signals import ArchiveHit, FingerprintList
from guardrail.verdict import new_id

HASH_BYTES = 32
DEFAULT_DISTANCE = 31
"""For bare hashes: what PDQ's authors advise."""
PICTURE_DISTANCE = 40
"""For pictures: no two different ones of those measured come nearer than 54 bits (`guardrail bench fingerprints`)."""
MEMORY_ROWS = 50_000
"""Bare hashes kept in memory; a longer list gets an archive on disk."""
MAX_VARIANTS = 1_024
SAME_PICTURE = 16
"""Differing bits up to which two sightings of a match count as one picture: repeating it does not make a flood."""
_MOST_SIGHTINGS = 10_000
_ROWS_A_WRITE = 20_000
_HASHES_A_QUERY = 500

_T = TypeVar("_T")
_Resolved = list[tuple[bytes, ArchiveHit]]
_Entries = list["ListedFingerprint"]

_log = logging.getLogger("guardrail.takedown")


@dataclass(frozen=True, slots=True)
class ListedFingerprint:
    """One entry of the list.

    Attributes:
        id: of the entry; verdicts name it as their evidence.
        hash: 64 hex digits.
        distance: differing bits up to which a picture matches.
        ref: whoever listed it calls it so, such as a case number.
        added_at, expires_at: Unix times; None never expires.
        bank: where it belongs.
        variants: further hashes of cuts and turns that it is found by.
        held_at: Unix time since which it only flags, because it matched a flood of pictures; None: it acts.
    """

    id: str
    hash: str
    distance: int
    ref: str | None
    added_at: float
    expires_at: float | None
    bank: str = DEFAULT_BANK
    variants: int = 0
    held_at: float | None = None


@dataclass(slots=True, eq=False)
class NewFingerprint:
    """One entry to list: a hash of 32 bytes, and what its bank does not decide."""

    hash: NDArray[np.uint8]
    distance: int | None = None
    ref: str | None = None
    expires_at: float | None = None


class FingerprintStore:
    """Fingerprints with a distance and an expiry of their own, in banks.

    Args:
        settings: where the data folder is.

    Raises:
        RecordError: the data folder cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._vault = Vault(settings)
        self._database = Database(settings)
        self._archives = Archives(settings)

    def add(
        self,
        hash: NDArray[np.uint8],
        *,
        distance: int | None = None,
        ref: str | None = None,
        expires_at: float | None = None,
        bank: str = DEFAULT_BANK,
        variants: NDArray[np.uint8] | None = None,
    ) -> str:
        """List one hash and return the id of its entry.

        Args:
            hash: 32 bytes, the 256 bits of PDQ (https://github.com/facebook/ThreatExchange/tree/main/pdq).
            distance: differing bits (of 256) up to which a picture matches, 0 to 64; None: the bank's.
            ref: an opaque reference, such as a case number.
            expires_at: Unix time from which the entry no longer acts; None: as the bank says.
            bank: name of a bank; one that does not exist yet is made.
            variants: (n, 32) hashes of cuts and turns, from `guardrail.vision.fingerprint.listing`; kept encrypted.

        Raises:
            RecordError: a wrong shape, type, distance, reference or time, or the store cannot be written.
        """
        entry = NewFingerprint(hash, distance, ref, expires_at)
        with self._database.write() as connection:
            kept = _own_bank(connection, bank)
            row = self._row(entry, kept, variants, self._now())
            connection.execute(insert(fingerprints).values(**row))
            self._database.bump(connection, "fingerprints")
        return str(row["id"])

    def load(self, entries: Iterable[NewFingerprint], *, bank: str = DEFAULT_BANK) -> int:
        """List many bare hashes and return how many; they act once all are written and a long list is indexed.

        Rows are written in portions, so that decisions can be recorded meanwhile. What was written before an error
        stays.

        Raises:
            RecordError: as for `add`.
        """
        count = 0
        with self._archives.building(wait_s=600) as alone:
            if not alone:
                raise RecordError("another process imports or indexes the list", advice="Try again when it is done.")
            for part in _batched(entries, _ROWS_A_WRITE):
                with self._database.write() as connection:
                    kept, at = _own_bank(connection, bank), self._now()
                    connection.execute(insert(fingerprints), [self._row(item, kept, None, at) for item in part])
                count += len(part)
            if self._unarchived() > MEMORY_ROWS:
                self._build()
            with self._database.write() as connection:
                self._database.bump(connection, "fingerprints")
        return count

    def remove(self, id: str) -> bool:
        """Take an entry off the list; false when there is none with this id.

        Raises:
            RecordError: the store cannot be written.
        """
        with self._database.write() as connection:
            found = connection.execute(delete(fingerprints).where(fingerprints.c.id == id)).rowcount > 0
            connection.execute(delete(sightings).where(sightings.c.entry == id))
            if found:
                self._database.bump(connection, "fingerprints")
        return found

    def release(self, id: str) -> bool:
        """Let an entry that was held back for a flood act again; false when none was.

        Raises:
            RecordError: the store cannot be written.
        """
        held = and_(fingerprints.c.id == id, fingerprints.c.held_at.is_not(None))
        with self._database.write() as connection:
            found = connection.execute(update(fingerprints).where(held).values(held_at=None)).rowcount > 0
            connection.execute(delete(sightings).where(sightings.c.entry == id))
            if found:
                self._database.bump(connection, "fingerprints")
        return found

    def list(self, bank: str | None = None) -> _Entries:
        """Every entry, or every one of a bank, oldest first, expired ones among them.

        Raises:
            RecordError: the store cannot be read.
        """
        return list(self.each(bank))

    def each(self, bank: str | None = None) -> Iterator[ListedFingerprint]:
        """`list`, one at a time, for lists too long for memory."""
        wanted = select(fingerprints).order_by(fingerprints.c.at, fingerprints.c.id)
        if bank is not None:
            wanted = wanted.where(_in_bank(bank))
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=_ROWS_A_WRITE).execute(wanted):
                yield _listed(row)

    def banks(self) -> dict[str, Bank]:
        """Every bank by name, the default one among them.

        Raises:
            RecordError: the store cannot be read.
        """
        with self._database.read() as connection:
            return read_banks(connection)

    def set_bank(self, bank: Bank) -> None:
        """Make a bank, or change one; its entries keep the distance and expiry they were listed with.

        Raises:
            RecordError: the store cannot be written.
        """
        with self._database.write() as connection:
            write_bank(connection, bank)
            self._database.bump(connection, "fingerprints")

    def remove_bank(self, name: str) -> int | None:
        """Remove a bank with all its entries; how many there were, or None when there is no such bank.

        Raises:
            RecordError: the store cannot be written.
        """
        with self._database.write() as connection:
            known = connection.execute(delete(banks).where(banks.c.name == name)).rowcount > 0
            count = connection.execute(delete(fingerprints).where(_in_bank(name))).rowcount
            if not known and not count:
                return None
            self._database.bump(connection, "fingerprints")
        return count

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
            RecordError: the store cannot be read, or a record cannot be decrypted.
        """
        archive = self._archive()
        wanted = select(fingerprints).where(_live())
        newest = wanted.order_by(fingerprints.c.at.desc(), fingerprints.c.id.desc())
        with self._database.read() as connection:
            version = self._database.version(connection, "fingerprints")
            known = read_banks(connection)
            # more are only met while another process imports them; they act when it is done
            bare = connection.execute(newest.where(_bare(archive)).limit(2 * MEMORY_ROWS)).all()
            own = connection.execute(wanted.where(fingerprints.c.own == 1)).all()
        rows = sorted([*bare, *own], key=lambda row: (row.at, row.id))
        blocks = [row.hash + (self._vault.unseal(row.variants, row.id) if row.variants else b"") for row in rows]
        counts = [len(block) // HASH_BYTES for block in blocks]
        distances = np.repeat(np.array([row.distance for row in rows], np.int64), counts)
        distances.flags.writeable = False
        expiries = [row.expires_at for row in rows if row.expires_at is not None]
        inert = {row.id: why for row in rows if (why := _inert(row, known)) is not None}
        remotes = (bank.remote() for bank in known.values())
        found = FingerprintList(
            version,
            tuple(row.id for row in rows),
            np.frombuffer(b"".join(blocks), np.uint8).reshape(-1, HASH_BYTES),
            distances,
            owners=np.repeat(np.arange(len(rows)), counts),
            banks=tuple(row.bank or DEFAULT_BANK for row in rows),
            inert=inert,
            archive=archive,
            remotes=tuple(remote for remote in remotes if remote is not None),
            note=self.note if any(bank.flood for bank in known.values()) else None,
        )
        return found, min(expiries, default=None)

    def note(self, entry: str, hash: NDArray[np.uint8]) -> None:
        """Remember that a picture matched an entry, and hold the entry back when too many different ones did.

        Raises:
            RecordError: the store cannot be written.
        """
        with self._database.write() as connection:
            row = connection.execute(select(fingerprints).where(fingerprints.c.id == entry)).one_or_none()
            bank = read_banks(connection).get((row.bank or DEFAULT_BANK) if row is not None else "")
            if row is None or bank is None or not bank.flood or row.held_at is not None:
                return
            now = time.time()
            old = and_(sightings.c.entry == entry, sightings.c.at < now - bank.window_s)
            connection.execute(delete(sightings).where(old))
            seen = connection.execute(
                select(sightings.c.hash).where(sightings.c.entry == entry).limit(_MOST_SIGHTINGS)
            ).scalars()
            known = np.frombuffer(b"".join(seen), np.uint8).reshape(-1, HASH_BYTES)
            apart = np.bitwise_count(known ^ hash).sum(axis=1, dtype=np.int64)
            if (apart <= SAME_PICTURE).any():
                return
            connection.execute(insert(sightings).values(entry=entry, at=now, hash=hash.tobytes()))
            if len(known) + 1 < bank.flood:
                return
            connection.execute(update(fingerprints).where(fingerprints.c.id == entry).values(held_at=now))
            connection.execute(delete(sightings).where(sightings.c.entry == entry))
            self._database.bump(connection, "fingerprints")
        _log.warning(
            "entry %s of bank %s matched %d different pictures within %d s: it only flags until "
            "`guardrail takedown release %s`",
            entry,
            bank.name,
            bank.flood,
            bank.window_s,
            entry,
        )

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def _now(self) -> float:
        """The time, but never before the archive: a clock that was set back must not hide what it does not hold."""
        archive = self._archives.current(self._resolve)
        return max(time.time(), archive.at if archive is not None else 0.0)

    def _row(
        self, entry: NewFingerprint, bank: Bank, variants: NDArray[np.uint8] | None, at: float
    ) -> dict[str, object]:
        hash, distance, expires = entry.hash, entry.distance, entry.expires_at
        if not isinstance(hash, np.ndarray) or hash.dtype != np.uint8 or hash.shape != (HASH_BYTES,):
            raise RecordError(f"a fingerprint is {HASH_BYTES} bytes", advice="Use guardrail.vision.fingerprint.pdq.")
        if distance is None:
            usual = DEFAULT_DISTANCE if variants is None else PICTURE_DISTANCE
            distance = usual if bank.distance is None else bank.distance
        if isinstance(distance, bool) or not isinstance(distance, int) or not 0 <= distance <= MAX_DISTANCE:
            raise RecordError(f"a distance is 0 to {MAX_DISTANCE} bits", advice="31 is the usual one for PDQ.")
        if expires is not None and not math.isfinite(expires):
            raise RecordError("an expiry is a Unix time in seconds", advice="Leave it out for never.")
        chosen = f"fp-{new_id().lower()}"
        return {
            "id": chosen,
            "at": at,
            "hash": hash.tobytes(),
            "distance": distance,
            "ref": None if entry.ref is None else checked_id(entry.ref, "a reference"),
            "expires_at": bank.expires_at() if expires is None else expires,
            "bank": bank.name,
            # what an archive cannot hold is always kept in memory
            "own": None if variants is None and distance <= REACH else 1,
            "variants": None if variants is None else self._vault.seal(_packed(variants), chosen),
        }

    def _unarchived(self) -> int:
        archive = self._archives.current(self._resolve)
        with self._database.read() as connection:
            count = select(func.count()).select_from(fingerprints).where(_live(), _bare(archive))
            return int(connection.execute(count).scalar_one())

    def _archive(self) -> Archive | None:
        if self._unarchived() > MEMORY_ROWS:
            with self._archives.building(wait_s=0) as alone:
                if alone:
                    self._build()
        return self._archives.current(self._resolve)

    def _build(self) -> None:
        with self._database.write():
            # whoever wrote before this moment is done, so all that is older is seen
            at = time.time()
        wanted = select(fingerprints.c.hash, fingerprints.c.distance).where(_live(), _bare(None))
        hashes, limits = bytearray(), bytearray()
        with self._database.read() as connection:
            for part in connection.execution_options(yield_per=_ROWS_A_WRITE).execute(wanted).partitions():
                hashes += b"".join(row[0] for row in part)
                limits += bytes(row[1] for row in part)
        self._archives.build(
            np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES), np.frombuffer(limits, np.uint8), at
        )

    def _resolve(self, hashes: Sequence[bytes]) -> _Resolved:
        found = []
        with self._database.read() as connection:
            known = read_banks(connection)
            for part in _batched(hashes, _HASHES_A_QUERY):
                wanted = select(fingerprints).where(fingerprints.c.hash.in_(part), _live(), _bare(None))
                for row in connection.execute(wanted):
                    hit = ArchiveHit(0, 0, row.distance, row.id, row.bank or DEFAULT_BANK, _inert(row, known))
                    found.append((row.hash, hit))
        return found


def _batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _packed(variants: NDArray[np.uint8]) -> bytes:
    if (
        not isinstance(variants, np.ndarray)
        or variants.dtype != np.uint8
        or variants.ndim != 2
        or variants.shape[1] != HASH_BYTES
        or len(variants) > MAX_VARIANTS
    ):
        raise RecordError(
            f"variants are at most {MAX_VARIANTS} x {HASH_BYTES} bytes",
            advice="Use guardrail.vision.fingerprint.listing.",
        )
    return variants.tobytes()


def _own_bank(connection: Connection, name: str) -> Bank:
    known = read_banks(connection)
    if name in known:
        if known[name].url is not None:
            raise RecordError(f"bank {name} is held by another service", advice="List the picture there.")
        return known[name]
    made = Bank(name)
    write_bank(connection, made)
    return made


def _in_bank(name: str) -> ColumnElement[bool]:
    column = fingerprints.c.bank
    return or_(column == name, column.is_(None)) if name == DEFAULT_BANK else column == name


def _live() -> ColumnElement[bool]:
    return or_(fingerprints.c.expires_at.is_(None), fingerprints.c.expires_at > time.time())


def _bare(archive: Archive | None) -> ColumnElement[bool]:
    """Bare hashes that no archive holds."""
    if archive is None:
        return fingerprints.c.own.is_(None)
    # behind a function, so that the few newest rows are found by time and not a long list by its kind
    return and_(func.coalesce(fingerprints.c.own, 0) == 0, fingerprints.c.at >= archive.at)


def _inert(row: Row[Any], known: dict[str, Bank]) -> str | None:
    if row.held_at is not None:
        return "quarantine"
    bank = known.get(row.bank or DEFAULT_BANK)
    return None if bank is None or bank.acts_on(row.id) else "rollout"


def _listed(row: Row[Any]) -> ListedFingerprint:
    # 12 bytes of nonce and 16 of tag around the hashes
    variants = (len(row.variants) - 28) // HASH_BYTES if row.variants else 0
    entry = ListedFingerprint(row.id, row.hash.hex(), row.distance, row.ref, row.at, row.expires_at)
    return replace(entry, bank=row.bank or DEFAULT_BANK, variants=variants, held_at=row.held_at)
