"""`guardrail bench faces`: labelled pairs of portraits, and synthetic galleries, measured on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from guardrail.evaluation.edits import measured
from guardrail.evaluation.faces import (
    Pairs,
    disguised,
    identification,
    main_face,
    read_pairs,
    search_cost,
    templates,
    verification,
)
from guardrail.evaluation.sets import Row, read_set
from guardrail.inference import ModelStore
from guardrail.settings import Limits, load_settings
from guardrail.signals import Picture
from guardrail.vision.age import apparent_age
from guardrail.vision.decode import decode
from guardrail.vision.pyramid import Level
from guardrail.vision.seen import see


def run(pairs_file: Path | None, people: int, every: int, search: int, *, as_json: bool) -> None:
    """Measure what was asked for, and print it."""
    settings = load_settings()
    models = ModelStore(settings)
    found: dict[str, Any] = {}
    if pairs_file is not None:
        pairs = read_pairs(pairs_file)
        known = templates(models, pairs, pairs.names)
        found["verification"] = verification(pairs, known, settings.faces)
        found["identification"] = identification(pairs, known, settings.faces, people)
        found["cost, CPU ms a face"] = _cost(models, pairs)
        if every:
            found["disguises"] = disguised(models, pairs, known, settings.faces, every)
    if search:
        found["search"] = search_cost(search)
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        _print(found)


def run_edits(path: Path, most: int, *, as_json: bool) -> None:
    """Measure edits of at most `most` pictures of each category, spread evenly over the set."""
    by_category: dict[str, list[Row]] = {}
    for row in read_set(path):
        by_category.setdefault(row.category, []).append(row)
    rows = [row for group in by_category.values() for row in group[:: max(1, len(group) // most)][:most]]
    tallies = measured(ModelStore(load_settings()), rows)
    found: dict[str, Any] = {
        kind: {"raised": tally.raised.to_dict(), "without a face": tally.without_face}
        for kind, tally in tallies.items()
    }
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        _print({"edit.exposure_delta at 0.5": found})


def _cost(models: ModelStore, pairs: Pairs) -> dict[str, float]:
    """Medians over up to 40 pictures; "features" is the second look, which up to four faces share."""
    spent: dict[str, list[float]] = {"find": [], "features and one flip": [], "other flip": [], "age": []}
    for name in pairs.names[:40]:
        rgb = decode(Picture((pairs.folder / name).read_bytes()), Limits()).frames[0].rgb
        clock = [time.process_time()]
        item = see(models, Level(0, rgb))
        clock.append(time.process_time())
        index = main_face(item)
        if index is None:
            continue
        look = item.look(index)
        clock.append(time.process_time())
        assert len(look.full)
        clock.append(time.process_time())
        apparent_age(models, rgb, item.faces[index])
        clock.append(time.process_time())
        for label, begun, ended in zip(spent, clock, clock[1:], strict=False):
            spent[label].append((ended - begun) * 1000)
    return {label: round(median(times), 1) for label, times in spent.items() if times}


def _print(found: dict[str, Any]) -> None:
    console = Console()
    for title, rows in found.items():
        table = Table("what", "figure", title=title)
        for label, value in _flat(rows):
            table.add_row(label, value)
        console.print(table)


def _flat(rows: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for label, value in rows.items():
        name = f"{before}{label}"
        if isinstance(value, dict) and "hits" in value:
            share = f"{value['share']:.2%} ({value['low']:.2%} to {value['high']:.2%})"
            flat.append((name, f"{value['hits']} of {value['n']} = {share}"))
        elif isinstance(value, dict) and "tar" in value and "cosine" in value and "low" in value:
            shown = f"{value['tar']:.2%} ({value['low']:.2%} to {value['high']:.2%}) at cosine {value['cosine']}"
            flat.append((name, shown))
        elif isinstance(value, dict):
            flat += _flat(value, f"{name}: ")
        else:
            flat.append((name, str(value)))
    return flat
