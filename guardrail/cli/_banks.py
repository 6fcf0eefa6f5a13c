"""`guardrail takedown bank`: where listed fingerprints come from and how far they are trusted."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import click
import orjson

from guardrail.records import Bank, FingerprintStore
from guardrail.settings import load_settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")


@click.group()
def bank_group() -> None:
    """Banks: a distance, an expiry and a roll-out of their own, or another service that holds the hashes."""


@bank_group.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """Every bank."""
    with closing(FingerprintStore(load_settings())) as store:
        banks = list(store.banks().values())
    if as_json:
        click.echo(orjson.dumps([asdict(bank) for bank in banks]))
        return
    for bank in banks:
        click.echo(_line(bank))


@bank_group.command("set")
@click.argument("name")
@click.option("--distance", type=int, help="Differing bits for new entries, 0 to 64.")
@click.option("--days", type=int, help="For how long new entries act.")
@click.option("--rollout", type=int, help="Percent of the entries that act, always the same; the rest only flags.")
@click.option("--flood", type=int, help="Different pictures within the window that hold an entry back; 0 for never.")
@click.option("--window", "window_s", type=int, help="Seconds in which a flood is counted; 3600 at first.")
@click.option("--url", help="Base URL of a hasher-matcher-actioner that holds the bank.")
@click.option("--timeout", "timeout_s", type=float, help="Seconds for one question to it.")
@click.option("--required/--optional", default=None, help="Whether pictures close when it does not answer.")
@click.option("--token-env", help="Environment variable with a bearer token for it.")
@_JSON
def set_(name: str, as_json: bool, **given: Any) -> None:
    """Make a bank, or change what is given of one. Entries keep the distance and expiry they were listed with."""
    changed = {field: value for field, value in given.items() if value is not None}
    with closing(FingerprintStore(load_settings())) as store:
        bank = replace(store.banks().get(name) or Bank(name), **changed)
        store.set_bank(bank)
    click.echo(orjson.dumps(asdict(bank)) if as_json else _line(bank))


@bank_group.command()
@click.argument("name")
@_JSON
def remove(name: str, as_json: bool) -> None:
    """Remove a bank with all its entries. Exit status 1 when there is none of this name."""
    with closing(FingerprintStore(load_settings())) as store:
        count = store.remove_bank(name)
    if as_json:
        click.echo(orjson.dumps({"bank": name, "removed": count is not None, "entries": count or 0}))
    else:
        click.echo(f"there is no bank {name}" if count is None else f"removed {name} with {count} entries")
    sys.exit(1 if count is None else 0)


def _line(bank: Bank) -> str:
    parts = [bank.name]
    if bank.url is not None:
        parts += [f"at {bank.url}", "required" if bank.required else "optional"]
    if bank.distance is not None:
        parts.append(f"within {bank.distance}")
    if bank.days is not None:
        parts.append(f"for {bank.days} days")
    if bank.rollout < 100:
        parts.append(f"acts on {bank.rollout} %")
    if bank.flood:
        parts.append(f"holds back from {bank.flood} pictures in {bank.window_s} s")
    return "  ".join(parts)
