"""The report of a run as one HTML page: figures, charts and ids, never a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guardrail.evaluation.curves import Curve, Spread
from guardrail.evaluation.figures import histogram_section, reliability_section, roc_section
from guardrail.evaluation.page import area_text, document, figure, folded, grid, paragraph, rate_text, section, table
from guardrail.evaluation.paired import p_value
from guardrail.evaluation.plots import Axes, Charts

_MAX_RANGES = 60
_READ = "docs/EVALUATION.md of guardrail explains each figure. Brackets hold 95 % intervals."


def render(
    found: Mapping[str, Any],
    families: Sequence[Curve],
    slices: Sequence[Curve],
    spreads: Sequence[Spread],
    *,
    sets: Sequence[str],
) -> str:
    """The page.

    Args:
        found: what `guardrail eval --json` prints: the summary, and `slices`, `against` if wanted.
        families: ROC curve by signal family.
        slices: ROC curve by slice.
        spreads: histogram and reliability by signal.
        sets: names of the set's files.

    Returns:
        HTML that needs no network and no script.
    """
    charts = Charts()
    parts = [_summary(found, sets)]
    if found.get("slices"):
        parts.append(_slices(charts, found["slices"]))
    parts.append(_categories(found["categories"]))
    if found.get("against"):
        parts.append(_changes(found["against"]))
    if families or slices:
        parts.append(roc_section(charts, families, slices))
    if spreads:
        parts.append(reliability_section(charts, spreads))
        parts.append(histogram_section(charts, spreads))
    return document("guardrail eval", parts)


def _summary(found: Mapping[str, Any], sets: Sequence[str]) -> str:
    rows = [
        ("policy", found["policy"] or "not known: the results were read from a file"),
        ("sets", ", ".join(sets)),
        ("rows", f"{found['rows']}, of which {found['ambiguous']} are labelled ambiguous and left out of rates"),
        ("stopped of block", rate_text(found["stopped_of_block"])),
        ("stopped of allow", rate_text(found["stopped_of_allow"])),
    ]
    if found["unjudged"] is not None:
        rows.append(("stopped by a limit or a fault, not by a rule", str(found["unjudged"])))
    caught = [
        (row["action"], *(_bracketed(row[name], row[f"{name}_95"]) for name in ("precision", "recall")))
        for row in found["at_action"]
    ]
    times = [(name, f"{value:g}", _bounds(found["ms_95"][name])) for name, value in found["ms"].items()]
    return section(
        "Summary",
        paragraph(_READ, faint=True),
        table("What was measured", ("figure", "value"), rows, words=2),
        table("When an action and all graver ones count as caught", ("action", "precision", "recall"), caught),
        table("Latency in milliseconds", ("percentile", "ms", "95 %"), times),
    )


def _slices(charts: Charts, rows: Sequence[Mapping[str, Any]]) -> str:
    twins = any(row["agrees"] for row in rows)
    optional = ("above_cut", "agrees", "kept") if twins else ("above_cut",)
    head = ("slice", "what", "against", "n", "stopped", "raised", "AUROC", "above the 95 % cut", "agrees", "kept")
    body = [
        (
            *(row["name"], row["what"], row["against"] or "", str(row["n"])),
            *(rate_text(row["stopped"]), rate_text(row["raised"]), area_text(row["auroc"])),
            *(rate_text(row[name]) if row[name] else "" for name in optional),
        )
        for row in rows
    ]
    parts = [table("Figures of each slice", head if twins else head[:-2], body, words=3)]
    if len(rows) <= _MAX_RANGES:
        told = "Share of each slice that was held or blocked, with its interval."
        axes = Axes("Stopped by slice", told, "stopped", "")
        ranges = [(row["name"], *(row["stopped"][name] for name in ("share", "low", "high"))) for row in rows]
        figures = table(axes.title, ("slice", "stopped"), [(row["name"], rate_text(row["stopped"])) for row in rows])
        parts.append(grid([figure(axes.title, charts.ranges(axes, ranges), figures)]))
    return section("Slices", *parts)


def _categories(rows: Sequence[Mapping[str, Any]]) -> str:
    body = [(row["label"], row["category"], str(row["n"]), rate_text(row)) for row in rows]
    figures = table("Stopped by category", ("label", "category", "n", "stopped"), body, words=2)
    return section("Categories", figures if len(rows) <= _MAX_RANGES else folded(f"{len(rows)} categories", figures))


def _changes(found: Mapping[str, Any]) -> str:
    head = ("rows", "n", "before", "now", "change", "now stopped", "now released", "p", "p (Holm)")
    body = [
        (
            *(row["name"], str(row["n"]), f"{row['before']:.1%}", f"{row['now']:.1%}"),
            f"{row['difference']:+.1%} [{row['low']:+.1%}, {row['high']:+.1%}]",
            *(str(row["gained"]), str(row["lost"]), p_value(row["p"]), p_value(row["p_holm"])),
        )
        for row in found["groups"]
    ]
    parts = [table(f"Change in what is stopped, against {found['file']}", head, body)]
    for name, title in (("gained", "Ids of the rows that are stopped now"), ("lost", "Ids of the rows released now")):
        if "flips" in found:
            ids = found["flips"][name]
            parts.append(folded(f"{title}: {len(ids)}", table(title, ("id",), [(one,) for one in ids])))
    return section("Against another run", *parts)


def _bracketed(value: float | None, bounds: Sequence[float]) -> str:
    return "none" if value is None else f"{value:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _bounds(bounds: Sequence[float] | None) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}" if bounds else ""
