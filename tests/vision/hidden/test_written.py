from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.inference import ModelStore
from guardrail.signals import RGB
from guardrail.vision.hidden.written import blocks, once, written
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line
from guardrail.vision.ocr.reader import LEAST, MAX_LINES, Reader, Reading, in_order
from tests.attacks.hidden import covers, lettering

SAID = "please water the plants on monday"


def _wall(side: int = 640) -> np.ndarray:
    shade = np.linspace(120, 170, side)[None, :, None] + np.linspace(0, 20, side)[:, None, None]
    return np.repeat(shade, 3, axis=2).astype(np.float32)


def _with(text: str, size: int, at: tuple[int, int], rgb: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """The text in white of some strength, `size` pixels an em."""
    drawn = lettering.mask([text], lettering.face("DejaVuSans-Bold", size))
    lettering.stamp(rgb, drawn, at, (255.0, 255.0, 255.0), strength)
    return np.asarray(np.clip(np.rint(rgb), 0, 255), dtype=np.uint8)


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.lower()))


def _read(models: ModelStore, rgb: np.ndarray) -> str:
    return _letters("".join(line.text for line in written(Reader(models), rgb).lines))


@pytest.mark.models
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_picture_is_read_whichever_way_it_is_turned(models: ModelStore, turn: int) -> None:
    rgb = np.ascontiguousarray(np.rot90(_with(SAID, 26, (40, 300), _wall()), turn))
    assert _read(models, rgb) == _letters(SAID)


@pytest.mark.models
def test_lines_turned_upside_down_come_in_their_own_order(models: ModelStore) -> None:
    rgb = _with("first we open the door", 28, (40, 200), _wall())
    rgb = _with("then we close the window", 28, (40, 250), rgb.astype(np.float32))
    assert _read(models, np.ascontiguousarray(rgb[::-1, ::-1])).startswith("firstwe")


@pytest.mark.models
@pytest.mark.parametrize(("size", "strength"), [(9, 1.0), (8, 1.0), (30, 0.06), (44, 0.05)])
def test_small_and_faint_lines_are_read(models: ModelStore, size: int, strength: float) -> None:
    rgb = _with(SAID[:22], size, (40, 300), _wall(), strength)
    found = written(Reader(models), rgb)
    texts = [_letters("".join(line.text for line in part)) for part in found.readings]
    assert any("water" in text and "plant" in text for text in texts)


@pytest.mark.models
@pytest.mark.parametrize(("level", "radius"), [(225, 30), (235, 45), (245, 45)])
def test_a_line_that_something_bright_behind_it_cuts_in_two_is_read_as_one(
    models: ModelStore, level: int, radius: int
) -> None:
    rgb = np.full((480, 800, 3), (60, 45, 58), np.float32)
    cv2.circle(rgb, (420, 200), radius, (level, level - 10, level), -1, cv2.LINE_AA)
    drawn = lettering.mask([SAID[7:]], lettering.face("DejaVuSans", 40))
    lettering.stamp(rgb, drawn, (60, 176), (255.0, 255.0, 255.0), 1.0)
    found = written(Reader(models), np.asarray(np.rint(rgb), np.uint8))
    assert SAID[7:] in [" ".join(line.text for line in part) for part in found.readings]


@pytest.mark.models
@pytest.mark.parametrize(("strength", "hidden"), [(0.05, True), (0.08, True), (0.6, False), (1.0, False)])
def test_lines_that_hardly_differ_from_their_ground_are_told_apart(
    models: ModelStore, strength: float, hidden: bool
) -> None:
    found = written(Reader(models), _with(SAID[:22], 40, (40, 300), _wall(), strength))
    assert _letters(SAID[:22]) in _letters("".join(line.text for line in found.lines))
    told = _letters("".join(line.text for part in found.faint for line in part))
    assert (_letters(SAID[:22]) in told) == hidden
    assert bool(told) == hidden


@pytest.mark.models
@pytest.mark.parametrize(("font", "size"), [("DejaVuSansCondensed-Bold", 9), ("DejaVuSans", 9), ("DejaVuSans", 10)])
def test_small_lines_one_below_the_other_are_read_each(models: ModelStore, font: str, size: int) -> None:
    rgb = _wall()
    drawn = lettering.mask(["please water the", "plants on monday", "before the frost"], lettering.face(font, size))
    lettering.stamp(rgb, drawn, (300, 300), (0.0, 0.0, 0.0), 1.0)
    found = written(Reader(models), np.asarray(np.rint(rgb), dtype=np.uint8))
    texts = [_letters("".join(line.text for line in part)) for part in found.readings]
    assert any(all(word in text for word in ("water", "plants", "monday", "frost")) for text in texts)


@pytest.mark.models
def test_fences_above_a_line_do_not_hide_it(models: ModelStore) -> None:
    rgb = np.clip(170 + np.random.default_rng(1).normal(0, 4, (1024, 1024, 1)), 0, 255).repeat(3, 2).astype(np.uint8)
    for top in (100, 180, 260, 340):
        for left in range(40, 980, 14):
            cv2.line(rgb, (left, top), (left + 5, top + 34), (60, 50, 40), 4)
    drawn = lettering.mask([SAID], lettering.face("DejaVuSans", 20))
    lined = rgb.astype(np.float32)
    lettering.stamp(lined, drawn, (120, 700), (110.0, 110.0, 110.0), 1.0)
    assert _letters(SAID) in _read(models, np.rint(lined).astype(np.uint8))


@pytest.mark.models
def test_a_photograph_without_text_is_seldom_more_than_glimpsed_at(models: ModelStore) -> None:
    reader = Reader(models)
    looks: list[int] = []
    find, reader.find = reader.find, lambda rgb, longest: looks.append(longest) or find(rgb, longest)  # type: ignore[method-assign,func-returns-value]
    for seed in range(4):
        rgb = np.asarray(covers.benign("photo", np.random.default_rng(seed), "train").convert("RGB"))
        assert written(reader, rgb).lines == ()
    assert len(looks) <= 1
    looks.clear()
    assert written(reader, _with(SAID, 26, (40, 300), _wall())).lines
    assert looks == [512]


def _line(text: str, x: float, y: float, wide: float, high: float = 20.0, angle: float = 0.0) -> Line:
    return Line(text, 0.9, TextBox((x, y), (wide, high), angle, 0.9))


@pytest.mark.models
def test_a_page_full_of_lines_is_read_once(models: ModelStore) -> None:
    """A table of more lines than are read of one picture; what stands in it twice costs no second look."""
    boxes: list[int] = []

    class Counting(Reader):
        def read_boxes(
            self, rgb: RGB, found: Sequence[TextBox], *, turning: bool = False, least: float = LEAST
        ) -> Reading:
            boxes.append(len(found))
            return super().read_boxes(rgb, found, turning=turning, least=least)

    rgb = np.asarray(covers.draw("table", (640, 640), np.random.default_rng(0), "train"))
    read = written(Counting(models), rgb)
    assert read.skipped
    assert len(read.lines) > 40
    assert sum(boxes) < 1.3 * MAX_LINES


def test_columns_and_captions_are_blocks_of_their_own() -> None:
    left = [_line("left one", 100, 100, 160), _line("left two", 104, 126, 168)]
    right = [_line("right one", 500, 101, 160), _line("right two", 500, 127, 160)]
    title = _line("title", 300, 40, 200, high=50)
    found = blocks(in_order([*right, *left, title]))
    assert [[line.text for line in block] for block in found] == [
        ["title"],
        ["left one", "left two"],
        ["right one", "right two"],
    ]


def test_words_of_one_row_stay_together() -> None:
    assert len(blocks([_line("keep", 100, 100, 60), _line("right", 180, 101, 70)])) == 1


@pytest.mark.parametrize("angle", [90.0, 180.0, -90.0])
def test_turned_lines_are_in_order(angle: float) -> None:
    turn = np.deg2rad(angle)
    down = np.array([-np.sin(turn), np.cos(turn)])
    places = [np.array([300.0, 300.0]) + 30 * at * down for at in range(4)]
    lines = [_line(str(at), float(place[0]), float(place[1]), 200, angle=angle) for at, place in enumerate(places)]
    assert [line.text for line in in_order(lines[::-1])] == ["0", "1", "2", "3"]


@pytest.mark.models
def test_a_label_that_boxes_and_bands_both_see_is_told_once(models: ModelStore) -> None:
    rgb = _wall().clip(225, 225)
    for at, word in enumerate(("Insert", "Format", "Window", "Photos")):
        rgb = _with(word, 11, (20, 40 + 40 * at), 255 - rgb).astype(np.float32)
        rgb = 255 - rgb
    text = "".join(line.text for line in written(Reader(models), np.asarray(rgb, dtype=np.uint8)).lines)
    assert [text.count(word) for word in ("Insert", "Format", "Window", "Photos")] == [1, 1, 1, 1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.floats(0.5, 1.0)), max_size=8))
def test_what_is_kept_of_lines_read_twice_is_the_surest_of_each_place(
    drawn: list[tuple[int, int, float]],
) -> None:
    read = [
        Line(f"label number {row} here", score, TextBox((100.0 + shift, 50.0 + 40 * row), (120.0, 20.0), 0.0, 1.0))
        for row, shift, score in drawn
    ]
    kept = once(read)
    assert len(kept) == len({row for row, _, _ in drawn})
    for line in kept:
        assert line.score == max(other.score for other in read if other.text == line.text)
