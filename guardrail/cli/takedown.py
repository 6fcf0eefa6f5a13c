"""`guardrail takedown`: fingerprints that must never be released."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import orjson

from guardrail.errors import InputError
from guardrail.records import FingerprintStore
from guardrail.settings import load_settings
from guardrail.signals import Picture
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import pdq

_MIN_QUALITY = 50


@click.group()
def command() -> None:
    """The takedown list. Pictures are not stored, only PDQ fingerprints. Every process acts within two seconds."""


@command.command()
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--hash", "hashes", multiple=True, help="A PDQ hash, 64 hex digits.")
@click.option("--distance", default=31, show_default=True, help="Differing bits up to which a picture matches.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def add(pictures: tuple[Path, ...], hashes: tuple[str, ...], distance: int, as_json: bool) -> None:
    """List pictures, or PDQ hashes you already have."""
    if not pictures and not hashes:
        raise click.UsageError("give a picture or --hash")
    settings = load_settings()
    found = [_parsed(text) for text in hashes]
    for path in pictures:
        fingerprint, quality = pdq(decode(Picture(path.read_bytes()), settings.limits))
        if quality < _MIN_QUALITY:
            raise InputError(
                f"{path.name} has too little detail for a fingerprint (quality {quality} of 100)",
                advice="List a picture with more detail; this one would match others by chance.",
            )
        found.append(fingerprint)
    store = FingerprintStore(settings)
    ids = [store.add(fingerprint, distance=distance) for fingerprint in found]
    click.echo(orjson.dumps({"ids": ids}) if as_json else "\n".join(f"listed {item}" for item in ids))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def list_(as_json: bool) -> None:
    """Every listed fingerprint."""
    entries = FingerprintStore(load_settings()).list()
    if as_json:
        click.echo(orjson.dumps([asdict(entry) for entry in entries]))
        return
    for entry in entries:
        click.echo(f"{entry.id}  {entry.hash}  within {entry.distance}")


@command.command()
@click.argument("id")
def remove(id: str) -> None:
    """Take a fingerprint off the list. Exit status 1 when there is none with this id."""
    found = FingerprintStore(load_settings()).remove(id)
    click.echo(f"removed {id}" if found else f"nothing is listed as {id}")
    sys.exit(0 if found else 1)


def _parsed(text: str) -> np.ndarray:
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise InputError("a PDQ hash is written as 64 hex digits") from error
    return np.frombuffer(raw, np.uint8)
