"""The charts of the report, each with a table of its figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrail.evaluation.curves import Curve, Spread
from guardrail.evaluation.page import area_text, figure, grid, paragraph, rate_text, section, table
from guardrail.evaluation.plots import Axes, Charts

_AT = (0.001, 0.01, 0.05, 0.1, 0.2)


def roc_section(charts: Charts, families: Sequence[Curve], slices: Sequence[Curve]) -> str:
    """ROC curves by signal family and by slice, as far as there are any."""
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
            *(curve.name, str(curve.area.positives), str(curve.area.negatives), area_text(curve.area.to_dict())),
            *(f"{curve.caught_at(share):.1%}" for share in _AT),
        )
        for curve in curves
    ]


def reliability_section(charts: Charts, spreads: Sequence[Spread]) -> str:
    """A reliability diagram for each signal."""
    figures = []
    for spread in spreads:
        found = spread.reliability.to_dict()
        told = f"{found['n']} of {spread.rows} rows carry it; ECE {found['ece']:.3f}; "
        told += f"{found['off']} of {len(found['bins'])} bins off. True: {spread.sides[0]}; not: {spread.sides[1]}"
        axes = Axes(f"Reliability of {spread.signal}", told, "mean score of the bin", "share true")
        bins = [(row["mean"], row["share"], row["low"], row["high"]) for row in found["bins"]]
        body = [
            (
                f"{row['from']:.3f} to {row['to']:.3f}",
                str(row["n"]),
                f"{row['mean']:.3f}",
                rate_text(row),
                "yes" if row["off"] else "",
            )
            for row in found["bins"]
        ]
        figures_of = table(axes.title, ("scores", "n", "mean score", "share true", "off"), body)
        figures.append(figure(spread.signal, paragraph(told, faint=True) + charts.calibration(axes, bins), figures_of))
    note = "A calibrated score lies on the diagonal: of rows scored 0.8, 80 % are true in a mixture like this one."
    return section("Reliability", paragraph(note), grid(figures))


def histogram_section(charts: Charts, spreads: Sequence[Spread]) -> str:
    """Histograms of each signal's scores, both sides beside each other."""
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
