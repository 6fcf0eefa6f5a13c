"""What `guardrail eval` prints on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from guardrail.evaluation.paired import p_value

_PLAIN_WIDTH = 140


def show(found: Mapping[str, Any]) -> None:
    """Print the figures as tables; 140 columns where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    console.print(_slices(found["slices"]) if "slices" in found else _categories(found["categories"]))
    if "against" in found:
        console.print(_changes(found["against"]))
        for name, title in (("gained", "now stopped"), ("lost", "now released")):
            for one in found["against"].get("flips", {}).get(name, ()):
                console.print(f"{title}: {one}", markup=False, highlight=False, soft_wrap=True)
    _rates(console, found)


def _rates(console: Console, found: Mapping[str, Any]) -> None:
    for label in ("block", "allow"):
        rate = found[f"stopped_of_{label}"]
        share = f"{rate['share']:.2%} ({_interval(rate)})"
        console.print(f"stopped of {label}: {rate['hits']} of {rate['n']} = {share}")
    for row in found["at_action"]:
        if row["precision"] is not None and row["recall"] is not None:
            shares = (f"{name} {row[name]:.3f} ({_bounds(row[f'{name}_95'])})" for name in ("precision", "recall"))
            console.print(f"at {row['action']}: {', '.join(shares)}")
    if found["auroc"]:
        areas = (f"{name} {area:.3f} ({_bounds(found['auroc_95'][name])})" for name, area in found["auroc"].items())
        console.print(f"AUROC by family: {escape(', '.join(areas))}")
    for name, row in found["reliability"].items():
        bins = f"{row['off']} of {len(row['bins'])} bins off"
        console.print(
            f"reliability of {escape(name)}: ECE {row['ece']:.3f} over {row['n']} of {row['rows']} rows, {bins}"
        )
    console.print("ms: " + ", ".join(f"{name} {value}" for name, value in found["ms"].items()))
    if found["ambiguous"]:
        console.print(f"left out as ambiguous: {found['ambiguous']} of {found['rows']}")
    if found["unjudged"]:
        console.print(f"stopped by a limit or a fault, not by a rule: {found['unjudged']} of {found['rows']}")


def _categories(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("label", "category", "n", "stopped", "95 %")
    for row in rows:
        table.add_row(row["label"], escape(row["category"]), str(row["n"]), f"{row['share']:.1%}", _interval(row))
    return table


def _slices(rows: Sequence[Mapping[str, Any]]) -> Table:
    twins = any(row["agrees"] for row in rows)
    heads = ("slice", "what", "n", "stopped [95 %]", "raised [95 %]", "AUROC [95 %]", "above the 95 % cut")
    table = Table(*map(escape, heads), *(("agrees", "kept") if twins else ()))
    for row in rows:
        area, above = row["auroc"], row["above_cut"]
        cells = [
            escape(row["name"]),
            escape(row["what"]),
            str(row["n"]),
            *(escape(_rate(row[name])) for name in ("stopped", "raised")),
            escape(f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]") if area else "",
            escape(f"{_rate(above)} of {row['against']}") if above else "",
        ]
        if twins:
            cells += [f"{row[name]['share']:.1%}" if row[name] else "" for name in ("agrees", "kept")]
        table.add_row(*cells)
    return table


def _changes(found: Mapping[str, Any]) -> Table:
    heads = ("rows", "n", "before", "now", "change (95 %)", "now stopped", "now released", "p", "p (Holm)")
    table = Table(*heads, title=escape(f"against {found['file']}"))
    for row in found["groups"]:
        table.add_row(
            escape(row["name"]),
            str(row["n"]),
            *(f"{row[name]:.1%}" for name in ("before", "now")),
            f"{row['difference']:+.1%} ({row['low']:+.1%} to {row['high']:+.1%})",
            *(str(row[name]) for name in ("gained", "lost")),
            *(p_value(row[name]) for name in ("p", "p_holm")),
        )
    return table


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['share']:.1%} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['low']:.1%} to {row['high']:.1%}"


def _bounds(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"
