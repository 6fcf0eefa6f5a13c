"""The report of a run as one HTML page: figures, charts and ids' counts, never a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from guardrail.evaluation.curves import Curve, Spread
from guardrail.evaluation.page import document, figure, folded, grid, paragraph, section, table
from guardrail.evaluation.paired import p_value
from guardrail.evaluation.plots import Axes, Charts

_AT = (0.001, 0.01, 0.05, 0.1, 0.2)
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
        parts.append(_curves(charts, families, slices))
    if spreads:
        parts.append(_reliability(charts, spreads))
        parts.append(_histograms(charts, spreads))
    return document("guardrail eval", parts)


def _summary(found: Mapping[str, Any], sets: Sequence[str]) -> str:
    rows = [
        ("policy", found["policy"] or "not known: the results were read from a file"),
        ("sets", ", ".join(sets)),
        ("rows", f"{found['rows']}, of which {found['ambiguous']} are labelled ambiguous and left out of rates"),
        ("stopped of block", _rate(found["stopped_of_block"])),
        ("stopped of allow", _rate(found["stopped_of_allow"])),
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
            *(_rate(row["stopped"]), _rate(row["raised"]), _area(row["auroc"])),
            *(_rate(row[name]) if row[name] else "" for name in optional),
        )
        for row in rows
    ]
    parts = [table("Figures of each slice", head if twins else head[:-2], body, words=3)]
    if len(rows) <= _MAX_RANGES:
        told = "Share of each slice that was held or blocked, with its interval."
        axes = Axes("Stopped by slice", told, "stopped", "")
        ranges = [(row["name"], *(row["stopped"][name] for name in ("share", "low", "high"))) for row in rows]
        figures = table(axes.title, ("slice", "stopped"), [(row["name"], _rate(row["stopped"])) for row in rows])
        parts.append(grid([figure(axes.title, charts.ranges(axes, ranges), figures)]))
    return section("Slices", *parts)


def _categories(rows: Sequence[Mapping[str, Any]]) -> str:
    body = [(row["label"], row["category"], str(row["n"]), _rate(row)) for row in rows]
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


def _curves(charts: Charts, families: Sequence[Curve], slices: Sequence[Curve]) -> str:
    figures = []
    for curves, title, told in (
        (families, "ROC by signal family", "rows labelled block against rows labelled allow"),
        (slices, "ROC by slice", "each slice against the benign slice it names"),
    ):
        if curves:
            areas = ", ".join(f"{curve.name} {curve.area.value:.3f}" for curve in curves)
            axes = Axes(
                title, f"Best scores, {told}. Areas: {areas}.", "share of benign rows", "share of rows to catch"
            )
            chart = charts.curves(axes, [(curve.name, curve.points) for curve in curves])
            head = ("curve", "n", "benign n", "AUROC", *(f"caught at {share:.1%}" for share in _AT))
            figures.append(figure(title, chart, table(f"ROC, {told}", head, _caught(curves))))
    return section("ROC", grid(figures))


def _caught(curves: Iterable[Curve]) -> list[tuple[str, ...]]:
    return [
        (
            *(curve.name, str(curve.area.positives), str(curve.area.negatives), _area(curve.area.to_dict())),
            *(f"{curve.caught_at(share):.1%}" for share in _AT),
        )
        for curve in curves
    ]


def _reliability(charts: Charts, spreads: Sequence[Spread]) -> str:
    figures = []
    for spread in spreads:
        found = spread.reliability.to_dict()
        told = f"{found['n']} of {spread.rows} rows carry it; ECE {found['ece']:.3f}; "
        told += f"{found['off']} of {len(found['bins'])} bins off. True: {spread.sides[0]}; not: {spread.sides[1]}"
        axes = Axes(f"Reliability of {spread.signal}", told, "mean score of the bin", "share true")
        bins = [(row["mean"], row["share"], row["low"], row["high"]) for row in found["bins"]]
        body = [
            (f"{row['from']:.3f} to {row['to']:.3f}", str(row["n"]), f"{row['mean']:.3f}", _rate(row), _off(row))
            for row in found["bins"]
        ]
        figures_of = table(axes.title, ("scores", "n", "mean score", "share true", "off"), body)
        figures.append(figure(spread.signal, paragraph(told, faint=True) + charts.calibration(axes, bins), figures_of))
    note = "A calibrated score lies on the diagonal: of rows scored 0.8, 80 % are true in a mixture like this one."
    return section("Reliability", paragraph(note), grid(figures))


def _histograms(charts: Charts, spreads: Sequence[Spread]) -> str:
    figures = []
    for spread in spreads:
        sides = tuple(zip(spread.sides, (spread.yes, spread.no), strict=True))
        shares = [(name, [number / max(1, sum(side)) for number in side]) for name, side in sides]
        top = max(max(heights) for _, heights in shares)
        told = "; ".join(f"{sum(side)} rows {name}" for name, side in sides)
        axes = Axes(f"Scores of {spread.signal}", told, "score", "share of the side's rows", top)
        part = 1 / len(spread.yes)
        body = [
            (f"{place * part:.2f} to {(place + 1) * part:.2f}", str(yes), str(no))
            for place, (yes, no) in enumerate(zip(spread.yes, spread.no, strict=True))
        ]
        figures_of = table(axes.title, ("score", *spread.sides), body)
        figures.append(figure(spread.signal, charts.histogram(axes, shares), figures_of))
    return section("Score histograms", grid(figures))


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}]" if row["n"] else "no rows"


def _area(found: Mapping[str, float] | None) -> str:
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" if found else ""


def _bracketed(value: float | None, bounds: Sequence[float]) -> str:
    return "none" if value is None else f"{value:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _bounds(bounds: Sequence[float] | None) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}" if bounds else ""


def _off(row: Mapping[str, Any]) -> str:
    return "yes" if row["off"] else ""
