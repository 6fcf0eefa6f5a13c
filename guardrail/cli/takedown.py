"""`guardrail takedown`: fingerprints that must never be released."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import orjson
from numpy.typing import NDArray

from guardrail.cli._banks import bank_group
from guardrail.cli._pictures import opened
from guardrail.errors import InputError
from guardrail.records import DEFAULT_BANK, FingerprintStore, NewFingerprint
from guardrail.records.banks import MAX_DISTANCE
from guardrail.records.fingerprints import HASH_BYTES, ListedFingerprint
from guardrail.records.hashlist import Counted, read_hashes, write_hashes
from guardrail.settings import Settings, load_settings
from guardrail.vision.fingerprint import listing

_DAY_S = 86_400
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
_BANK = click.option("--bank", default=DEFAULT_BANK, show_default=True, help="Name of a bank; a new one is made.")
_DISTANCE = click.option(
    "--distance",
    type=click.IntRange(0, MAX_DISTANCE),
    help="Differing bits up to which a picture matches; the bank's own, or 31 for hashes and 40 for pictures.",
)
_DAYS = click.option("--days", type=click.IntRange(1, 36_500), help="For how long it acts; as the bank says, or ever.")


@click.group()
def command() -> None:
    """The takedown list. Pictures are not stored, only PDQ fingerprints. Every process acts within two seconds."""


command.add_command(bank_group, "bank")


@command.command()
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--hash", "hashes", multiple=True, help="A PDQ hash, 64 hex digits.")
@_DISTANCE
@click.option("--ref", help="Your own reference, such as a case number; not a name.")
@_DAYS
@_BANK
@_JSON
def add(
    pictures: tuple[Path, ...],
    hashes: tuple[str, ...],
    distance: int | None,
    ref: str | None,
    days: int | None,
    bank: str,
    as_json: bool,
) -> None:
    """List pictures, or PDQ hashes you already have. One that cannot be used lists nothing.

    A picture is also listed as it would look cut by up to a tenth, turned by up to seven degrees and without a frame;
    a hash is found again after re-encoding, scaling, light edits, mirroring, quarter turns and framing only.
    """
    if not pictures and not hashes:
        raise click.UsageError("give a picture or --hash")
    settings = load_settings()
    found: list[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]] = [(_parsed(text), None) for text in hashes]
    for path in pictures:
        views = _fingerprints(path, settings)
        found.append((views[0], views[1:]))
    expires = None if days is None else time.time() + days * _DAY_S
    with closing(FingerprintStore(settings)) as store:
        ids = [
            store.add(hash, distance=distance, ref=ref, expires_at=expires, bank=bank, variants=variants)
            for hash, variants in found
        ]
    click.echo(orjson.dumps({"ids": ids}) if as_json else "\n".join(f"listed {item}" for item in ids))


@command.command("list")
@click.option("--bank", help="Only the entries of this bank.")
@_JSON
def list_(bank: str | None, as_json: bool) -> None:
    """Every listed fingerprint, expired ones among them."""
    with closing(FingerprintStore(load_settings())) as store:
        if as_json:
            click.echo(orjson.dumps([asdict(entry) for entry in store.each(bank)]))
            return
        for entry in store.each(bank):
            click.echo(_line(entry))


@command.command()
@click.argument("id")
@_JSON
def remove(id: str, as_json: bool) -> None:
    """Take a fingerprint off the list. Exit status 1 when there is none with this id."""
    with closing(FingerprintStore(load_settings())) as store:
        found = store.remove(id)
    if as_json:
        click.echo(orjson.dumps({"id": id, "removed": found}))
    else:
        click.echo(f"removed {id}" if found else f"nothing is listed as {id}")
    sys.exit(0 if found else 1)


@command.command()
@click.argument("id")
@_JSON
def release(id: str, as_json: bool) -> None:
    """Let an entry that was held back after a flood of matches act again. Exit status 1 when none was."""
    with closing(FingerprintStore(load_settings())) as store:
        found = store.release(id)
    if as_json:
        click.echo(orjson.dumps({"id": id, "released": found}))
    else:
        click.echo(f"{id} acts again" if found else f"{id} is not held back")
    sys.exit(0 if found else 1)


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_BANK
@_DISTANCE
@_DAYS
@_JSON
def import_(file: Path, bank: str, distance: int | None, days: int | None, as_json: bool) -> None:
    """List the PDQ hashes of a CSV. A broken row is named and lists nothing.

    One hash a row, or a header as ThreatExchange's tools, hasher-matcher-actioner and clearing houses write it:
    signal_type, signal (or hash, pdq, indicator), id, distance, expires_at, quality. Rows of other signal types, of
    quality below 50 and expired ones are counted and left out.
    """
    expires = None if days is None else time.time() + days * _DAY_S
    first = Counted()
    # read twice: a broken row must be found before anything is listed, and a long list does not fit into memory
    if not sum(1 for _ in _entries(file, first)) and not any(asdict(first).values()):
        raise InputError("the list is empty", advice="Give a CSV of PDQ hashes.")
    counted = Counted()
    with closing(FingerprintStore(load_settings())) as store:
        entries = (
            NewFingerprint(
                entry.hash,
                entry.distance if distance is None else distance,
                entry.ref,
                entry.expires_at if expires is None else expires,
            )
            for entry in _entries(file, counted)
        )
        count = store.load(entries, bank=bank)
    if as_json:
        click.echo(orjson.dumps({"bank": bank, "listed": count, "left_out": asdict(counted)}))
        return
    click.echo(
        f"listed {count} in {bank}; left out {counted.other_types} of other signal types, {counted.poor} of poor "
        f"quality, {counted.expired} expired"
    )


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), default="-")
@click.option("--bank", help="Only the entries of this bank.")
def export(file: Path, bank: str | None) -> None:
    """Write the list as CSV that `takedown import` and ThreatExchange's tools read; never cuts and turns."""
    with closing(FingerprintStore(load_settings())) as store, click.open_file(str(file), "w", "utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(write_hashes(store.each(bank)))


def _entries(file: Path, counted: Counted) -> Iterator[NewFingerprint]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from read_hashes(lines, counted)
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror}", advice="Check its permissions.") from error


def _line(entry: ListedFingerprint) -> str:
    parts = [entry.id, entry.hash, f"within {entry.distance}"]
    if entry.bank != DEFAULT_BANK:
        parts.append(f"in {entry.bank}")
    if entry.ref is not None:
        parts.append(entry.ref)
    if entry.expires_at:
        parts.append(f"until {datetime.fromtimestamp(entry.expires_at, UTC):%Y-%m-%d %H:%M} UTC")
    if entry.held_at is not None:
        parts.append("held back: it matched a flood of pictures")
    return "  ".join(parts)


def _parsed(text: str) -> NDArray[np.uint8]:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != HASH_BYTES:
        raise InputError("a PDQ hash is 64 hex digits", advice="Give the hash as PDQ tools print it.")
    return np.frombuffer(raw, np.uint8)


def _fingerprints(path: Path, settings: Settings) -> NDArray[np.uint8]:
    with opened(path, settings.limits) as picture:
        return listing(picture)
