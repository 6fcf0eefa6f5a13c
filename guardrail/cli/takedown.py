"""`guardrail takedown`: fingerprints that must never be released."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import orjson
from numpy.typing import NDArray

from guardrail.cli._pictures import opened
from guardrail.errors import InputError, PictureError
from guardrail.records import FingerprintStore
from guardrail.records.fingerprints import DEFAULT_DISTANCE, HASH_BYTES, MAX_DISTANCE
from guardrail.settings import Settings, load_settings
from guardrail.vision.fingerprint import pdq

_MIN_QUALITY = 50
_DAY_S = 86_400


@click.group()
def command() -> None:
    """The takedown list. Pictures are not stored, only PDQ fingerprints. Every process acts within two seconds."""


@command.command()
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--hash", "hashes", multiple=True, help="A PDQ hash, 64 hex digits.")
@click.option(
    "--distance",
    default=DEFAULT_DISTANCE,
    show_default=True,
    type=click.IntRange(0, MAX_DISTANCE),
    help="Differing bits up to which a picture matches.",
)
@click.option("--ref", help="Your own reference, such as a case number; not a name.")
@click.option("--days", type=click.IntRange(1, 36_500), help="For how long it acts; for ever when left out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def add(
    pictures: tuple[Path, ...],
    hashes: tuple[str, ...],
    distance: int,
    ref: str | None,
    days: int | None,
    as_json: bool,
) -> None:
    """List pictures, or PDQ hashes you already have. One that cannot be used lists nothing."""
    if not pictures and not hashes:
        raise click.UsageError("give a picture or --hash")
    settings = load_settings()
    found = [_parsed(text) for text in hashes] + [_fingerprint(path, settings) for path in pictures]
    expires = None if days is None else time.time() + days * _DAY_S
    with closing(FingerprintStore(settings)) as store:
        ids = [store.add(item, distance=distance, ref=ref, expires_at=expires) for item in found]
    click.echo(orjson.dumps({"ids": ids}) if as_json else "\n".join(f"listed {item}" for item in ids))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def list_(as_json: bool) -> None:
    """Every listed fingerprint, expired ones among them."""
    with closing(FingerprintStore(load_settings())) as store:
        entries = store.list()
    if as_json:
        click.echo(orjson.dumps([asdict(entry) for entry in entries]))
        return
    for entry in entries:
        until = f"until {datetime.fromtimestamp(entry.expires_at, UTC):%Y-%m-%d %H:%M} UTC" if entry.expires_at else ""
        click.echo(f"{entry.id}  {entry.hash}  within {entry.distance}  {entry.ref or ''}  {until}".rstrip())


@command.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def remove(id: str, as_json: bool) -> None:
    """Take a fingerprint off the list. Exit status 1 when there is none with this id."""
    with closing(FingerprintStore(load_settings())) as store:
        found = store.remove(id)
    if as_json:
        click.echo(orjson.dumps({"id": id, "removed": found}))
    else:
        click.echo(f"removed {id}" if found else f"nothing is listed as {id}")
    sys.exit(0 if found else 1)


def _parsed(text: str) -> NDArray[np.uint8]:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != HASH_BYTES:
        raise InputError("a PDQ hash is 64 hex digits", advice="Give the hash as PDQ tools print it.")
    return np.frombuffer(raw, np.uint8)


def _fingerprint(path: Path, settings: Settings) -> NDArray[np.uint8]:
    with opened(path, settings.limits) as picture:
        fingerprint, quality = pdq(picture)
        if quality < _MIN_QUALITY:
            raise PictureError(
                f"too little detail for a fingerprint (quality {quality} of 100)",
                reason="poor_fingerprint",
                advice="List a picture with more detail; this one would match others by chance.",
            )
    return fingerprint
