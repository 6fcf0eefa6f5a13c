"""`guardrail eval`: run labelled sets and print the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from guardrail.cli._eval_tables import show
from guardrail.errors import ConfigurationError
from guardrail.evaluation import Result, Row, Sliced, read_results, read_set, read_slices, run, slices_by, summary
from guardrail.evaluation.curves import family_curves, slice_curves, spreads
from guardrail.evaluation.report import render
from guardrail.evaluation.tables import change_table, flips, slice_table
from guardrail.settings import load_settings

_PLAIN_EVERY = 2_000
_READ = click.Path(exists=True, dir_okay=False, path_type=Path)
_WRITTEN = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options of the command."""

    policy: str | None
    out: Path | None
    jobs: int
    results: Path | None
    slices: Path | None
    skip_empty: bool
    by: str | None
    families: str | None
    against: Path | None
    flips: bool
    report: Path | None
    as_json: bool


@click.command()
@click.argument("sets", nargs=-1, required=True, type=_READ)
@click.option("--policy", help="A shipped policy or a policy file; the one in the settings when left out.")
@click.option("--out", type=_WRITTEN, help="Write the results as JSONL.")
@click.option("--jobs", default=0, type=click.IntRange(min=0), help="Processes; 0 means one a core.")
@click.option("--results", type=_READ, help="Score this results file; the guard does not run.")
@click.option("--slices", type=_READ, help="YAML file that defines slices of the set.")
@click.option("--skip-empty", is_flag=True, help="With --slices: leave out slices without rows.")
@click.option("--by", help="A field of the rows: one slice for each value and label.")
@click.option("--families", help="With --by: starts of the signal names that count, as in sexual.,minor.")
@click.option("--against", type=_READ, help="Compare with this results file of another run over the same rows.")
@click.option("--flips", is_flag=True, help="With --against: list the ids of rows that flipped.")
@click.option("--report", type=_WRITTEN, help="Write figures and charts as one HTML page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
def command(sets: tuple[Path, ...], **options: Any) -> None:
    """Judge every row of labelled sets and print rates with 95 % intervals. Nothing is recorded.

    A row of a set: {"id", "text" and/or "image" (path beside the set), "stage": prompt, input or output, "label":
    block, allow or ambiguous, "category"}. A row of the results: {"id", "action", "rules", "signals", "ms"}.
    docs/EVALUATION.md explains the figures, slices and the report.
    """
    wanted = _Wanted(**options)
    _check(wanted, sets)
    rows = read_set(*sets)
    sliced = _sliced(wanted, rows)
    before = read_results(wanted.against, rows) if wanted.against else None
    policy, results = _results(wanted, rows)
    found: dict[str, Any] = {"policy": policy, **summary(zip(rows, results, strict=True))}
    if wanted.results:
        found["unjudged"] = None
    drawn = spreads(rows, results, sliced.truths)
    found["reliability"] = {spread.signal: spread.to_dict() for spread in drawn}
    if sliced.slices:
        found["slices"] = slice_table(sliced, rows, results)
    if before is not None and wanted.against:
        groups = {"all rows": range(len(rows)), **(sliced.members if sliced.slices else _categories(rows))}
        found["against"] = {"file": _name(wanted.against), "groups": change_table(groups, before, results)}
        if wanted.flips:
            found["against"]["flips"] = flips(rows, before, results)
    if wanted.report:
        curves = family_curves(rows, results), slice_curves(sliced, results)
        _save(wanted.report, render(found, *curves, drawn, sets=[_name(path) for path in sets]))
    if wanted.as_json:
        click.echo(orjson.dumps(found))
    else:
        show(found)


def _check(wanted: _Wanted, sets: Sequence[Path]) -> None:
    for given, needed, problem in (
        (wanted.skip_empty, wanted.slices, "--skip-empty goes with --slices"),
        (wanted.families, wanted.by, "--families goes with --by"),
        (wanted.flips, wanted.against, "--flips goes with --against"),
        (wanted.by and wanted.slices, None, "give --by or --slices, not both"),
        (wanted.results and wanted.out, None, "--out goes with a run, not with --results"),
    ):
        if given and not needed:
            raise click.UsageError(problem)
    inputs = [path.resolve() for path in (*sets, wanted.results, wanted.slices, wanted.against) if path]
    for name, path in (("--out", wanted.out), ("--report", wanted.report)):
        if path is not None and path.resolve() in inputs:
            raise click.UsageError(f"{name} would overwrite a set or another file that is read")
        if path is not None:
            inputs.append(path.resolve())
    if wanted.report and not wanted.report.resolve().parent.is_dir():
        raise ConfigurationError(
            f"{wanted.report} cannot be written: no such folder", advice="Choose another --report."
        )


def _name(path: Path) -> str:
    """Its last part as text that JSON and HTML can hold: on Linux a file's name may be no UTF-8."""
    return path.name.encode("utf-8", "replace").decode("utf-8")


def _sliced(wanted: _Wanted, rows: Sequence[Row]) -> Sliced:
    if wanted.slices:
        return read_slices(wanted.slices, rows, skip_empty=wanted.skip_empty)
    if wanted.by:
        families = [part.strip() for part in (wanted.families or "").split(",") if part.strip()]
        return slices_by(wanted.by, rows, families)
    return Sliced()


def _categories(rows: Sequence[Row]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.label != "ambiguous":
            found.setdefault(f"{row.category or '(none)'}: {row.label}", []).append(place)
    return dict(sorted(found.items()))


def _results(wanted: _Wanted, rows: Sequence[Row]) -> tuple[str | None, list[Result]]:
    """The policy's name, None when only the caller knows it, and a result for each row."""
    if wanted.results:
        return wanted.policy, read_results(wanted.results, rows)
    settings = load_settings()
    policy = wanted.policy or settings.policy
    results: list[Result] = []
    with _opened(wanted.out) if wanted.out else nullcontext() as file:
        for result in _shown(run(rows, policy, settings, jobs=wanted.jobs), len(rows)):
            results.append(result)
            if file is not None:
                _write(file, result)
    return policy, results


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


def _save(report: Path, page: str) -> None:
    try:
        report.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"{report} cannot be written: {error.strerror}",
            advice="Choose another --report; --results saves judging again.",
        ) from error


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
