from typing import Any

from guardrail.evaluation import Slice, Sliced, change_table, flips, slice_table, summary
from guardrail.evaluation.curves import family_curves, slice_curves, spreads
from guardrail.evaluation.report import render
from guardrail.verdict import Action
from tests.evaluation.parts import result, row
from tests.evaluation.test_page import Checked

_ROWS = [row("id-1", text="marker"), row("id-2", "allow", "<b>", text="marker"), row("id-3", "ambiguous")]
_RESULTS = [result("id-1", Action.BLOCK, sexual_nudity=0.9), result("id-2", sexual_nudity=0.2), result("id-3")]
_BEFORE = [result("id-1"), result("id-2", Action.HOLD), result("id-3")]
_SLICED = Sliced((Slice("bad<i>", "w", against="good"), Slice("good", "w", plain="x")), {"bad<i>": [0], "good": [1]})


def _page(**more: Any) -> str:
    found = {"policy": "default", **summary(zip(_ROWS, _RESULTS, strict=True)), **more}
    curves = family_curves(_ROWS, _RESULTS), slice_curves(_SLICED, _RESULTS)
    return render(found, *curves, spreads(_ROWS, _RESULTS, {}), sets=["a.jsonl"])


def test_the_whole_page_is_well_formed_and_holds_figures_and_no_prompt() -> None:
    against = {
        "file": "old.jsonl",
        "groups": change_table({"all rows": range(3)}, _BEFORE, _RESULTS),
        "flips": flips(_ROWS, _BEFORE, _RESULTS),
    }
    page = _page(slices=slice_table(_SLICED, _ROWS, _RESULTS), against=against)
    found = Checked(page)
    for wanted in ("default", "a.jsonl", "bad<i>", "<b>", "old.jsonl", "id-1", "id-2", "ROC by slice", "p99", "agrees"):
        assert wanted in found.text
    assert "marker" not in page
    assert not {"i", "b", "script"} & set(found.met)
    names = [value for name, value in found.attributes if name == "id"]
    assert len(names) == len(set(names))
    assert found.met.count("title") == 1 + found.met.count("desc")


def test_parts_that_were_not_asked_for_are_left_out() -> None:
    text = Checked(_page(policy=None, unjudged=None)).text
    assert "not known: the results were read from a file" in text
    for absent in ("Slices", "Against another run", "stopped by a limit"):
        assert absent not in text


def test_many_categories_are_folded_and_nothing_is_a_page_too() -> None:
    rows = [row(str(at), category=f"c{at}") for at in range(61)]
    found = {"policy": "p", **summary(zip(rows, [result(item.id) for item in rows], strict=True))}
    assert "61 categories" in Checked(render(found, [], [], [], sets=["a"])).text
    empty = Checked(render({"policy": "p", **summary([])}, [], [], [], sets=[]))
    assert "no rows" in empty.text
    assert "ROC" not in empty.text
