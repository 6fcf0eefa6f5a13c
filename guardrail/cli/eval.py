"""`guardrail eval`: run labelled sets and print the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from io import FileIO
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from guardrail.errors import ConfigurationError
from guardrail.evaluation import Result, read_set, run, summary
from guardrail.settings import load_settings

_PLAIN_EVERY = 2_000
_PLAIN_WIDTH = 120


@click.command()
@click.argument("sets", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--policy", help="A shipped policy or a policy file; the one in the settings when left out.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JSONL.")
@click.option("--jobs", default=0, type=click.IntRange(min=0), help="Processes; 0 means one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
def command(sets: tuple[Path, ...], policy: str | None, out: Path | None, jobs: int, as_json: bool) -> None:
    """Judge every row of labelled sets and print rates with 95 % intervals. Nothing is recorded.

    A row of a set: {"id", "text" and/or "image" (path beside the set), "stage": prompt, input or output, "label":
    block, allow or ambiguous, "category"}. A row of the results: {"id", "action", "rules", "signals", "ms"}.
    """
    settings = load_settings()
    policy = policy or settings.policy
    rows = read_set(*sets)
    if out is not None and out.resolve() in [path.resolve() for path in sets]:
        raise click.UsageError("--out would overwrite a set")
    results: list[Result] = []
    with _opened(out) if out else nullcontext() as file:
        for result in _shown(run(rows, policy, settings, jobs=jobs), len(rows)):
            results.append(result)
            if file is not None:
                _write(file, result)
    found = summary(zip(rows, results, strict=True))
    if as_json:
        click.echo(orjson.dumps({"policy": policy, **found}))
    else:
        _print(found)


def _opened(out: Path) -> FileIO:
    try:
        return FileIO(out, "w")
    except OSError as error:
        raise ConfigurationError(
            f"{out} cannot be written: {error.strerror}", advice="Choose another --out."
        ) from error


def _write(file: FileIO, result: Result) -> None:
    line = orjson.dumps(result.to_dict()) + b"\n"
    try:
        # Unbuffered: what was judged is in the file when a later row ends the run.
        whole = file.write(line) == len(line)
    except OSError:
        whole = False
    if not whole:
        raise ConfigurationError(f"{file.name!s} cannot be written further", advice="Make space, and run again.")


def _shown(results: Iterator[Result], total: int) -> Iterator[Result]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("rows", total=total)
        for done, result in enumerate(results, 1):
            bar.advance(task)
            if not console.is_terminal and (done % _PLAIN_EVERY == 0 or done == total):
                click.echo(f"{done} of {total} rows", err=True)
            yield result


def _print(found: dict[str, Any]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    table = Table("label", "category", "n", "stopped", "95 %")
    for row in found["categories"]:
        table.add_row(row["label"], escape(row["category"]), str(row["n"]), f"{row['share']:.1%}", _interval(row))
    console.print(table)
    for label in ("block", "allow"):
        rate = found[f"stopped_of_{label}"]
        share = f"{rate['share']:.2%} ({_interval(rate)})"
        console.print(f"stopped of {label}: {rate['hits']} of {rate['n']} = {share}")
    caught = [row for row in found["at_action"] if row["precision"] is not None and row["recall"] is not None]
    for row in caught:
        console.print(f"at {row['action']}: precision {row['precision']:.3f}, recall {row['recall']:.3f}")
    if found["auroc"]:
        console.print("AUROC by family: " + ", ".join(f"{name} {area:.3f}" for name, area in found["auroc"].items()))
    console.print("ms: " + ", ".join(f"{name} {value}" for name, value in found["ms"].items()))
    if found["ambiguous"]:
        console.print(f"left out as ambiguous: {found['ambiguous']} of {found['rows']}")
    if found["unjudged"]:
        console.print(f"stopped by a limit or a fault, not by a rule: {found['unjudged']} of {found['rows']}")


def _interval(row: dict[str, Any]) -> str:
    return f"{row['low']:.1%} to {row['high']:.1%}"
