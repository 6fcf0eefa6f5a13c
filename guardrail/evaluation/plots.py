"""Small charts as inline SVG: no scripts, colours from the page's style sheet, a title and a description each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count

WIDTH, HEIGHT = 460, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 44
_PLOT_W, _PLOT_H = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
COLOURS = 8
"""Series beyond this many take the colours anew, with other dashes."""
Point = tuple[float, float]
Series = tuple[str, Sequence[Point]]


@dataclass(frozen=True, slots=True)
class Axes:
    """What a chart is about.

    Attributes:
        title: short name, read aloud first.
        description: one or two sentences for whoever does not see the chart.
        x: label of the horizontal axis, whose values are in [0, 1].
        y: label of the vertical axis; values in [0, `top`].
        top: largest vertical value.
    """

    title: str
    description: str
    x: str
    y: str
    top: float = 1.0


class Charts:
    """Makes charts whose ids are unique on one page."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def curves(self, axes: Axes, series: Sequence[Series]) -> str:
        """Lines from the left edge to the right with the diagonal for comparison, and a legend."""
        lines = [_diagonal()]
        for number, (_, points) in enumerate(series):
            path = " ".join(f"{_x(x)},{_y(y, axes.top)}" for x, y in thinned(points))
            lines.append(f'<polyline class="line {_look(number)}" points="{path}"/>')
        return self._svg(axes, lines) + legend([name for name, _ in series])

    def calibration(self, axes: Axes, bins: Sequence[tuple[float, float, float, float]]) -> str:
        """Points with whiskers against the diagonal; a bin is (mean score, share, low, high)."""
        marks = [_diagonal()]
        for mean, share, low, high in bins:
            x = _x(mean)
            marks.append(f'<line class="whisker s0" x1="{x}" x2="{x}" y1="{_y(low)}" y2="{_y(high)}"/>')
            marks.append(f'<circle class="dot s0" cx="{x}" cy="{_y(share)}" r="4"/>')
        return self._svg(axes, marks)

    def histogram(self, axes: Axes, series: Sequence[tuple[str, Sequence[float]]]) -> str:
        """Bars side by side over equal parts of [0, 1]; each series has as many heights."""
        bars = []
        for number, (_, heights) in enumerate(series):
            part = 1 / len(heights)
            width = part * 0.8 / len(series)
            for place, height in enumerate(heights):
                x = (place + 0.1) * part + number * width
                top = _y(height, axes.top)
                size = f'width="{width * _PLOT_W:.1f}" height="{_TOP + _PLOT_H - top:.1f}"'
                bars.append(f'<rect class="bar s{number % COLOURS}" x="{_x(x)}" y="{top}" {size}/>')
        return self._svg(axes, bars) + legend([name for name, _ in series])

    def ranges(self, axes: Axes, rows: Sequence[tuple[str, float, float, float]]) -> str:
        """One line a row with share, low and high: a dot and its whiskers on a common scale."""
        step, left = 22, 170
        height, wide = _TOP + step * len(rows) + _BOTTOM, WIDTH - left - _RIGHT
        base = _TOP + step * len(rows)
        marks = []
        for tick in _TICKS:
            x = round(left + tick * wide, 1)
            marks.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{base}"/>')
            marks.append(f'<text x="{x}" y="{base + 16}" text-anchor="middle">{tick:.0%}</text>')
        for place, (name, share, low, high) in enumerate(rows):
            y = _TOP + step * place + step // 2
            x, start, end = (round(left + value * wide, 1) for value in (share, low, high))
            marks.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(_short(name))}</text>')
            marks.append(f'<line class="whisker s0" x1="{start}" x2="{end}" y1="{y}" y2="{y}"/>')
            marks.append(f'<circle class="dot s0" cx="{x}" cy="{y}" r="4"/>')
        marks.append(_label(left + wide / 2, height - 6, axes.x))
        return self._open(axes, height) + "".join(marks) + "</svg>"

    def _svg(self, axes: Axes, marks: Sequence[str]) -> str:
        return self._open(axes, HEIGHT) + "".join(_frame(axes)) + "".join(marks) + "</svg>"

    def _open(self, axes: Axes, height: int) -> str:
        name = f"chart-{next(self._numbers)}"
        return (
            f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{name}-title {name}-desc">'
            f'<title id="{name}-title">{escape(axes.title)}</title>'
            f'<desc id="{name}-desc">{escape(axes.description)}</desc>'
        )


def thinned(points: Sequence[Point], step: float = 0.003) -> list[Point]:
    """Points at least `step` apart along either axis; the first and the last stay."""
    kept = [points[0]]
    for point in points[1:-1]:
        if max(abs(point[0] - kept[-1][0]), abs(point[1] - kept[-1][1])) >= step:
            kept.append(point)
    return kept if len(points) == 1 else [*kept, points[-1]]


def legend(names: Sequence[str]) -> str:
    """Names with the line that stands for each; for series drawn in this order."""
    sample = (
        '<svg viewBox="0 0 28 10" class="key" aria-hidden="true"><line class="line {}" x2="28" y1="5" y2="5"/></svg>'
    )
    items = (f"<li>{sample.format(_look(number))}{escape(name)}</li>" for number, name in enumerate(names))
    return f'<ul class="legend">{"".join(items)}</ul>'


def _frame(axes: Axes) -> Iterator[str]:
    for tick in _TICKS:
        x, y = _x(tick), _y(tick)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_TOP + _PLOT_H}"/>'
        yield f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _PLOT_W}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{x}" y="{_TOP + _PLOT_H + 16}" text-anchor="middle">{tick:g}</text>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{tick * axes.top:.3g}</text>'
    yield _label(_LEFT + _PLOT_W / 2, HEIGHT - 6, axes.x)
    middle = _TOP + _PLOT_H / 2
    yield f'<text transform="rotate(-90 12 {middle})" x="12" y="{middle}" text-anchor="middle">{escape(axes.y)}</text>'


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def _diagonal() -> str:
    return f'<line class="diagonal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'


def _look(number: int) -> str:
    return f"s{number % COLOURS} d{number // COLOURS % 3}"


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


def _x(value: float) -> float:
    return round(_LEFT + value * _PLOT_W, 1)


def _y(value: float, top: float = 1.0) -> float:
    return round(_TOP + _PLOT_H * (1 - value / top), 1)
