"""`guardrail models`: list, pull and verify the weights."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from guardrail.inference import load_catalogue, pull, verify
from guardrail.settings import load_settings


class _Bar:
    """A bar over all bytes to fetch on a terminal, a line a file elsewhere; on standard error either way."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._plain = not self._console.is_terminal
        self._bar = RichProgress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=self._console, disable=self._plain
        )
        total = sum(spec.size for manifest in load_catalogue().values() for spec in manifest.files)
        self._task = self._bar.add_task("weights", total=total)
        self._moved = 0
        self._size = 0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, model: str, file: str, size: int) -> None:
        self._size, self._moved = size, 0
        self._bar.update(self._task, description=f"{model}/{file}")

    def advance(self, size: int) -> None:
        self._moved += size
        self._bar.advance(self._task, size)

    def done(self, model: str, file: str, source: str) -> None:
        self._bar.advance(self._task, max(0, self._size - self._moved))
        if self._plain:
            click.echo(f"{model}/{file}: {self._size / 1e6:.1f} MB from {source}, verified", err=True)


@click.group()
def command() -> None:
    """List, pull and verify the weights."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def list_(as_json: bool) -> None:
    """What each model is for, its licence, and whether it is here."""
    settings = load_settings()
    states = {state.name: state for state in verify(settings)}
    catalogue = load_catalogue()
    if as_json:
        rows = [
            {**asdict(states[name]), "author": item.author, "sha256": item.file().sha256, "card": item.card}
            for name, item in catalogue.items()
        ]
        click.echo(orjson.dumps(rows))
        return
    table = Table("model", "task", "state", "MB", "licence", title=str(settings.models_dir))
    for name, item in catalogue.items():
        state = states[name]
        table.add_row(name, item.task, state.state, f"{state.size / 1e6:.1f}", item.licence)
    Console().print(table)


@command.command("pull")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
def pull_(names: tuple[str, ...], as_json: bool) -> None:
    """Fetch and verify models (all by default). What is here and right is not fetched again."""
    settings = load_settings()
    with _Bar() as bar:
        pull(names or None, settings, bar)
    _print(as_json, wanted=set(names))


@command.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def verify_(as_json: bool) -> None:
    """Compare every cached file with its manifest. Exit status 1 when one is missing or wrong."""
    _print(as_json, wanted=set())


def _print(as_json: bool, *, wanted: set[str]) -> None:
    states = [state for state in verify(load_settings()) if not wanted or state.name in wanted]
    good = all(state.state == "ok" for state in states)
    if as_json:
        click.echo(orjson.dumps({"ok": good, "models": [asdict(state) for state in states]}))
    else:
        for state in states:
            click.echo(f"{state.state:8} {state.name:20} {state.size / 1e6:7.1f} MB  {state.detail}".rstrip())
    sys.exit(0 if good else 1)
