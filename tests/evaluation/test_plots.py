import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.evaluation.plots import HEIGHT, WIDTH, Axes, Charts, legend, thinned

_AXES = Axes("a < b", 'x & "y"', "across", "up")
_SVG = "{http://www.w3.org/2000/svg}"


def _parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(f'<div xmlns="http://www.w3.org/2000/svg">{chart}</div>')


def _numbers(root: ElementTree.Element) -> list[float]:
    names = ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height")
    return [float(item.attrib[name]) for item in root.iter() for name in names if name in item.attrib]


@pytest.mark.parametrize(
    "chart",
    [
        Charts().curves(_AXES, [("<one>", [(0, 0), (0.2, 0.9), (1, 1)]), ("two", [(0, 0), (1, 1)])]),
        Charts().calibration(_AXES, [(0.1, 0.2, 0.0, 1.0), (1.0, 1.0, 0.5, 1.0)]),
        Charts().histogram(Axes("a", "b", "c", "d", 0.25), [("<one>", [0.25, 0.0]), ("two", [0.1, 0.0])]),
        Charts().ranges(_AXES, [("<one>", 0.5, 0.0, 1.0), ("a very long name of a slice, longer than fits", 0, 0, 0)]),
    ],
)
def test_a_chart_is_xml_with_title_and_description_inside_its_frame(chart: str) -> None:
    root = _parsed(chart)
    svg = root[0]
    title, description = svg[0], svg[1]
    assert (svg.tag, title.tag, description.tag) == (f"{_SVG}svg", f"{_SVG}title", f"{_SVG}desc")
    assert svg.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
    assert title.text
    assert all(0 <= number <= max(WIDTH, HEIGHT) for number in _numbers(root))
    assert not re.search(r"script|href|url\(|style=", chart)


def test_a_line_goes_where_its_points_are() -> None:
    root = _parsed(Charts().curves(_AXES, [("one", [(0, 0), (1, 1)])]))
    (line,) = root.iter(f"{_SVG}polyline")
    (start, end) = (tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split())
    assert start[0] < end[0]
    assert start[1] > end[1]
    diagonal = next(item for item in root.iter(f"{_SVG}line") if item.attrib["class"] == "diagonal")
    assert (float(diagonal.attrib["x1"]), float(diagonal.attrib["y2"])) == (start[0], end[1])


def test_a_bar_is_as_high_as_its_share_of_the_top() -> None:
    root = _parsed(Charts().histogram(Axes("a", "b", "c", "d", 0.5), [("one", [0.5, 0.25, 0.0])]))
    heights = [float(bar.attrib["height"]) for bar in root.iter(f"{_SVG}rect")]
    assert heights == pytest.approx([heights[0], heights[0] / 2, 0], abs=0.11)


def test_ids_on_one_page_differ_and_series_do_too() -> None:
    charts = Charts()
    page = charts.calibration(_AXES, []) + charts.calibration(_AXES, [])
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names)) == 4
    looks = re.findall('class="(line [^"]+)"', legend([str(number) for number in range(24)]))
    assert len(set(looks)) == 24


_points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


@given(_points)
def test_thinned_points_start_and_end_alike_and_miss_nothing_visible(points: list[tuple[float, float]]) -> None:
    kept = thinned(points, 0.1)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    for x, y in points:
        assert any(max(abs(x - a), abs(y - b)) < 0.1 for a, b in kept) or (x, y) in kept
