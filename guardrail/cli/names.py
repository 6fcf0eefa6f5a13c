"""`guardrail names`: the operator's list of names, whom prompts must not mean."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from guardrail.errors import InputError
from guardrail.records import NamesStore, read_names
from guardrail.records.names import KINDS, column_advice
from guardrail.settings import load_settings
from guardrail.signals import ListedName


@click.group()
def command() -> None:
    """People by name, besides the public figures shipped. Stored encrypted. Every process acts within two seconds."""


@command.command()
@click.argument("name")
@click.option("--alias", "aliases", multiple=True, help="Another spelling, a nickname or a handle.")
@click.option("--kind", type=click.Choice(KINDS), default="private", show_default=True)
@click.option("--protected", is_flag=True, help="Naming this person raises person.protected, as their face does.")
@click.option("--born", type=int, help="Year.")
@click.option("--died", type=int, help="Year.")
@click.option("--id", "id", default="", help="Id to use; an id or a name that exists is replaced.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def add(
    name: str,
    aliases: tuple[str, ...],
    kind: str,
    protected: bool,
    born: int | None,
    died: int | None,
    id: str,
    as_json: bool,
) -> None:
    """List one person."""
    with closing(NamesStore(load_settings())) as store:
        (chosen,) = store.add([ListedName(id, name, aliases, kind, protected, born, died)])
    click.echo(orjson.dumps({"id": chosen}) if as_json else f"listed {chosen}")


@command.command("import", help=f"List everybody in a CSV file, or nobody when a row is wrong. {column_advice()}")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def import_(file: Path, as_json: bool) -> None:
    try:
        with file.open(encoding="utf-8", newline="") as lines, closing(NamesStore(load_settings())) as store:
            ids = store.add(read_names(lines, str(file)))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", advice="Give a CSV file that can be read.") from None
    click.echo(orjson.dumps({"ids": ids}) if as_json else f"listed {len(ids)}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def list_(as_json: bool) -> None:
    """Everybody listed."""
    with closing(NamesStore(load_settings())) as store:
        entries = store.current().names
    if as_json:
        click.echo(orjson.dumps([asdict(entry) for entry in entries]))
        return
    for entry in entries:
        protected = "  protected" if entry.protected else ""
        click.echo(f"{entry.id}  {entry.kind}{protected}  {' | '.join((entry.name, *entry.aliases))}")


@command.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def remove(id: str, as_json: bool) -> None:
    """Take somebody off the list and out of every file. Exit status 1 when nobody has this id."""
    with closing(NamesStore(load_settings())) as store:
        found = store.remove(id)
    if as_json:
        click.echo(orjson.dumps({"id": id, "removed": found}))
    else:
        click.echo(f"removed {id}" if found else f"nobody is listed as {id}")
    sys.exit(0 if found else 1)
