"""`guardrail people`: enrol, list and erase protected people."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import orjson

from guardrail.cli._pictures import opened
from guardrail.inference import ModelStore
from guardrail.records import PeopleStore
from guardrail.settings import load_settings
from guardrail.vision.templates import template


@click.group()
def command() -> None:
    """Protected people: their face is not released. Templates are stored encrypted; pictures are not stored."""


@command.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "person_id", help="Id to use; an id that exists is replaced.")
@click.option("--label", help="A name for your own eyes; stored encrypted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def enrol(pictures: tuple[Path, ...], person_id: str | None, label: str | None, as_json: bool) -> None:
    """Enrol one person from one or more pictures that each show their face alone.

    Running processes act on it within two seconds. One picture that cannot be used enrols nobody.
    """
    settings = load_settings()
    models = ModelStore(settings)
    vectors = []
    for path in pictures:
        with opened(path, settings.limits) as picture:
            vectors.append(template(models, picture))
    with closing(PeopleStore(settings)) as store:
        chosen = store.enrol(np.stack(vectors), person_id=person_id, label=label)
    click.echo(orjson.dumps({"id": chosen, "templates": len(vectors)}) if as_json else f"enrolled {chosen}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def list_(as_json: bool) -> None:
    """Everybody enrolled."""
    with closing(PeopleStore(load_settings())) as store:
        people = store.list()
    if as_json:
        click.echo(orjson.dumps([asdict(person) for person in people]))
        return
    for person in people:
        click.echo(f"{person.id}  {person.templates} template(s)  {person.label or ''}".rstrip())


@command.command()
@click.argument("person_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def erase(person_id: str, as_json: bool) -> None:
    """Erase a person's templates from every file. Exit status 1 when nobody has this id."""
    with closing(PeopleStore(load_settings())) as store:
        found = store.erase(person_id)
    if as_json:
        click.echo(orjson.dumps({"id": person_id, "erased": found}))
    else:
        click.echo(f"erased {person_id}" if found else f"nobody is enrolled as {person_id}")
    sys.exit(0 if found else 1)
