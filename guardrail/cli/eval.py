"""`guardrail eval`: run labelled sets and print the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from guardrail.evaluation import read_set, run, summary
from guardrail.settings import load_settings

_PLAIN_EVERY = 2_000


@click.command()
@click.argument("sets", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--policy", default="default", show_default=True, help="A shipped policy or a policy file.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JSONL.")
@click.option("--jobs", default=0, help="Processes; 0 means one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
def command(sets: tuple[Path, ...], policy: str, out: Path | None, jobs: int, as_json: bool) -> None:
    """Judge every row of labelled sets and print rates with 95 % intervals. Nothing is recorded."""
    rows = [row for path in sets for row in read_set(path)]
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("rows", total=len(rows))

        def advance() -> None:
            nonlocal done
            done += 1
            bar.advance(task)
            if not console.is_terminal and done % _PLAIN_EVERY == 0:
                click.echo(f"{done} of {len(rows)} rows", err=True)

        results = run(rows, policy, load_settings(), jobs=jobs, advance=advance)
    if out is not None:
        out.write_bytes(b"".join(orjson.dumps(result) + b"\n" for result in results))
    found = summary([row.data for row in rows], results)
    if as_json:
        click.echo(orjson.dumps({"policy": policy, **found}))
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    table = Table("label", "category", "n", "stopped", "95 %")
    for row in found["categories"]:
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(row["label"], row["category"], str(row["n"]), f"{row['share']:.1%}", interval)
    console = Console()
    console.print(table)
    for label in ("block", "allow"):
        rate = found[f"stopped_of_{label}"]
        console.print(f"stopped of {label}: {rate['hits']} of {rate['n']} = {rate['share']:.2%}")
    console.print("AUROC by family: " + ", ".join(f"{name} {area:.3f}" for name, area in found["auroc"].items()))
    console.print("ms: " + ", ".join(f"{name} {value}" for name, value in found["ms"].items()))
