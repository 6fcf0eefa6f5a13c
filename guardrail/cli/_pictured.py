"""Picture concepts for `guardrail policy`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from guardrail.errors import ConfigurationError
from guardrail.evaluation.metrics import Rate
from guardrail.evaluation.pictured import Looking, Told, pictures_of, written
from guardrail.policy import load_policy
from guardrail.settings import load_settings


def try_concept(policy: str, concept: str, folder: Path, at: float, *, as_json: bool) -> None:
    """Print the pictures of a folder that a concept would catch.

    Raises:
        PolicyError, ConfigurationError, ModelError: what is missing or stale.
    """
    looking = Looking(load_policy(policy), load_settings(), concept)
    with _told() as told:
        seen = looking.look(pictures_of(folder), told)
    scores = looking.scores(looking.concepts[0], seen.vectors)
    rows = sorted(zip(seen.paths, map(float, scores), strict=True), key=lambda row: -row[1])
    caught = sum(score >= at for _, score in rows)
    if as_json:
        data = [{"picture": str(path.relative_to(folder)), "score": round(score, 4)} for path, score in rows]
        shown = {"concept": concept, "at": at, "pictures": len(rows), "caught": caught, "refused": seen.refused}
        click.echo(json.dumps(shown | {"scores": data}))
        return
    for path, score in rows[:caught]:
        click.echo(f"{score:.2f}  {path.relative_to(folder)}")
    click.echo(f"{caught} of {len(rows)} pictures score {at:g} or more for {concept!r}")
    if seen.refused:
        click.echo(f"{seen.refused} files could not be judged", err=True)


def calibrate(policy: str, benign: Path, alarms: float | None, out: Path | None, *, as_json: bool) -> None:
    """Find the scale of every picture concept, and write or print it.

    Raises:
        PolicyError, ConfigurationError, ModelError: what is missing, or too few pictures.
    """
    looking = Looking(load_policy(policy), load_settings())
    with _told() as told:
        seen = looking.look(pictures_of(benign), told)
    found = looking.calibrated(seen.vectors, alarms)
    text = written(found)
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{out} cannot be written", advice="Give another --out.") from error
    if as_json:
        click.echo(found.model_dump_json(by_alias=True))
        return
    for name, item in found.concepts.items():
        low, high = Rate(item.pictures, item.alarms).interval
        share = item.alarms / item.pictures
        line = f"{name}: {item.alarms} of {item.pictures} benign pictures alarm"
        click.echo(f"{line} ({share:.2%}, 95 % interval {low:.2%} to {high:.2%})", err=out is None)
    if seen.refused:
        click.echo(f"{seen.refused} files could not be judged", err=True)
    if out is None:
        click.echo(text, nl=False)


@contextmanager
def _told() -> Iterator[Told]:
    """A bar on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("pictures", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
