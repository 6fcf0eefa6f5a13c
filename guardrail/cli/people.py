"""`guardrail people`: enrol, list, export and erase protected people."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import orjson
from numpy.typing import NDArray

from guardrail.cli._pictures import opened
from guardrail.errors import InputError
from guardrail.inference import ModelStore
from guardrail.records import PeopleStore, Person
from guardrail.settings import load_settings
from guardrail.vision.templates import template, together


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

    Three to five pictures are recognised better than one. Running processes act on it within two seconds. One picture
    that cannot be used, or that shows somebody else than the others, enrols nobody.
    """
    settings = load_settings()
    models = ModelStore(settings)
    vectors = []
    for path in pictures:
        with opened(path, settings.limits) as picture:
            vectors.append(template(models, picture))
    rows = together(vectors)
    with closing(PeopleStore(settings)) as store:
        chosen = store.enrol(rows, person_id=person_id, label=label)
    click.echo(orjson.dumps({"id": chosen, "templates": len(rows)}) if as_json else f"enrolled {chosen}")


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
@click.argument("person_id", required=False)
@click.option(
    "--out",
    required=True,
    type=click.Path(exists=False, dir_okay=False, path_type=Path),
    help="A new file, readable by its owner alone.",
)
def export(person_id: str | None, out: Path) -> None:
    """Write what is stored about one person, or about everybody, as JSON lines. It is NOT encrypted any more.

    For people who ask what is kept about them. A line holds id, label, time of enrolment, and the templates: 128
    numbers each. Exit status 1 when nobody has this id.
    """
    with closing(PeopleStore(load_settings())) as store:
        found = [person for person in store.list() if person_id in (None, person.id)]
        lines = [_exported(person, store.templates(person.id)) for person in found]
    if person_id is not None and not lines:
        click.echo(f"nobody is enrolled as {person_id}")
        sys.exit(1)
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.writelines(line + b"\n" for line in lines)
    except OSError as error:
        raise InputError(
            f"{out} cannot be made: {error.strerror}", advice="Name a file that does not exist."
        ) from error
    click.echo(f"exported {len(lines)} to {out}; delete it when it has served")


def _exported(person: Person, templates: NDArray[np.float32] | None) -> bytes:
    rows = [] if templates is None else templates.tolist()
    return orjson.dumps({**asdict(person), "templates": rows})


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
