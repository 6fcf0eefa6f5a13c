from guardrail.evaluation import Slice, Sliced
from guardrail.evaluation.curves import family_curves, slice_curves, spreads
from guardrail.evaluation.sliced import Truth
from tests.evaluation.parts import result, row

_ROWS = [row("1"), row("2"), row("3", "allow"), row("4", "allow"), row("5", "ambiguous")]
_RESULTS = [
    result("1", sexual_nudity=0.9),
    result("2", sexual_explicit=0.2),
    result("3", sexual_nudity=0.1),
    result("4", harm_graphic=0.3),
    result("5", minor_mention=1.0, sexual_nudity=0.9),
]


def test_a_curve_a_family_over_labelled_rows() -> None:
    harm, sexual = family_curves(_ROWS, _RESULTS)
    assert (harm.name, sexual.name) == ("harm", "sexual")
    assert (sexual.area.value, harm.area.value) == (1.0, 0.25)
    assert sexual.points[0] == (0.0, 0.0)
    assert (sexual.caught_at(0.0), sexual.caught_at(0.4), harm.caught_at(0.6)) == (1.0, 1.0, 0.0)
    assert family_curves(_ROWS[:2], _RESULTS[:2]) == []


def test_a_curve_a_slice_that_is_told_apart() -> None:
    slices = (Slice("a", "a", ("harm.",), against="b"), Slice("b", "b"), Slice("c", "c", against="gone"))
    found = slice_curves(Sliced(slices, {"a": [3], "b": [0, 1], "c": [0], "gone": []}), _RESULTS)
    assert [(curve.name, curve.area.value) for curve in found] == [("a", 1.0)]


def test_a_signal_is_held_against_labels_where_the_row_carries_it() -> None:
    found = {spread.signal: spread for spread in spreads(_ROWS, _RESULTS, {})}
    assert set(found) == {"sexual.nudity", "sexual.explicit", "harm.graphic"}
    nudity = found["sexual.nudity"]
    assert (nudity.rows, nudity.reliability.n, nudity.sides) == (4, 2, ("labelled block", "labelled allow"))
    assert (nudity.yes[18], sum(nudity.yes), nudity.no[2], sum(nudity.no)) == (1, 1, 1, 1)
    assert nudity.reliability.ece is not None
    assert round(nudity.reliability.ece, 6) == 0.1
    assert nudity.to_dict()["yes"] == "labelled block"


def test_a_signal_is_held_against_the_rows_that_the_slices_name() -> None:
    truth = Truth(frozenset({2}), frozenset({0, 4}), ("a", "b"))
    found = {spread.signal: spread for spread in spreads(_ROWS, _RESULTS, {"sexual.nudity": truth})}
    nudity = found["sexual.nudity"]
    assert (nudity.rows, nudity.sides, sum(nudity.yes), sum(nudity.no)) == (3, ("a", "b"), 1, 2)
    assert nudity.reliability.ece is not None
    assert round(nudity.reliability.ece, 6) == 0.9
