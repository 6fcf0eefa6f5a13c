import orjson
import pytest

from guardrail.evaluation import Slice, Sliced, change_table, flips, slice_table
from guardrail.verdict import Action
from tests.evaluation.parts import result, row

_BLOCK, _ALLOW, _HOLD, _FLAG = Action.BLOCK, Action.ALLOW, Action.HOLD, Action.FLAG


def test_figures_of_a_slice_against_another() -> None:
    rows = [row(str(at)) for at in range(7)]
    results = [
        result("0", _BLOCK, sexual_nudity=0.9),
        result("1", _HOLD, minor_mention=0.5, harm_graphic=1.0),
        result("2", _FLAG, sexual_nudity=0.4),
        result("3", _ALLOW, harm_graphic=1.0),
        result("4", _ALLOW, sexual_nudity=0.45),
        result("5", _ALLOW),
        result("6", _ALLOW, harm_graphic=1.0),
    ]
    bad = Slice("bad", "b", ("sexual.", "minor."), against="good")
    sliced = Sliced((bad, Slice("good", "g")), {"bad": [0, 1, 2], "good": [3, 4, 5, 6]})
    found, good = slice_table(sliced, rows, results)
    assert (found["name"], found["what"], found["n"], found["against"]) == ("bad", "b", 3, "good")
    assert (found["stopped"]["hits"], found["stopped"]["low"]) == (2, 0.20766)
    assert found["raised"]["hits"] == 2
    # Pairs won: 4 + 4 + 3 of 12.
    assert found["auroc"]["value"] == pytest.approx(11 / 12, abs=1e-6)
    assert found["auroc"]["low"] < 11 / 12 < found["auroc"]["high"] <= 1
    assert (found["above_cut"]["hits"], found["above_cut"]["n"]) == (1, 4)
    assert (found["agrees"], found["kept"]) == (None, None)
    assert (good["auroc"], good["above_cut"], good["against"]) == (None, None, None)
    assert good["raised"]["hits"] == 2
    assert orjson.loads(orjson.dumps(found)) == found


def test_disguised_rows_are_held_against_their_plain_twins() -> None:
    rows = [
        row("p", text="a nude"),
        row("q", text="a barn"),
        row("1", base="a nude"),
        row("2", base="a nude"),
        row("3", base="a barn"),
        row("4", base="unknown"),
        row("5"),
    ]
    stopped = (_BLOCK, _ALLOW, _BLOCK, _ALLOW, _BLOCK, _BLOCK, _BLOCK)
    results = [result(item.id, action) for item, action in zip(rows, stopped, strict=True)]
    (found,) = slice_table(Sliced((Slice("d", "d", plain="base"),), {"d": [2, 3, 4, 5, 6]}), rows, results)
    assert (found["agrees"]["hits"], found["agrees"]["n"]) == (1, 3)
    assert (found["kept"]["hits"], found["kept"]["n"]) == (1, 2)


def test_changes_are_counted_tested_and_corrected_together() -> None:
    before = [result(str(at), _ALLOW if at < 8 else _BLOCK) for at in range(20)]
    now = [result(str(at), _BLOCK if at < 8 else _FLAG if at == 8 else _HOLD) for at in range(20)]
    groups = {"all": range(20), "some": [0, 8, 9], "none": [10, 11]}
    every, some, none = change_table(groups, before, now)
    assert (every["n"], every["gained"], every["lost"], every["before"], every["now"]) == (20, 8, 1, 0.6, 0.95)
    assert every["low"] < every["difference"] == 0.35 < every["high"]
    assert every["p"] == pytest.approx(2 * 10 / 512)
    assert every["p_holm"] == pytest.approx(3 * every["p"])
    assert (some["gained"], some["lost"], some["p"], some["p_holm"]) == (1, 1, 1.0, 1.0)
    assert (none["difference"], none["p"]) == (0.0, 1.0)


def test_flips_name_ids_either_way() -> None:
    rows = [row(name) for name in "abc"]
    before = [result("a", _ALLOW), result("b", _BLOCK), result("c", _BLOCK)]
    now = [result("a", _HOLD), result("b", _FLAG), result("c", _HOLD)]
    assert flips(rows, before, now) == {"gained": ["a"], "lost": ["b"]}
