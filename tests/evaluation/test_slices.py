import re
from pathlib import Path

import pytest

from guardrail.errors import ConfigurationError
from guardrail.evaluation import Sliced, read_slices
from tests.evaluation.parts import row

_ROWS = (
    row("1", "block", source="books", share=60.0),
    row("2", "block", source="books", share=10.0),
    row("3", "allow", source="films"),
    row("4", "allow", source="books", base="text"),
)
_GOOD = """
slices:
  - name: said
    what: said in the text
    label: block
    families: [sexual., minor.]
    against: plain
    where: {source: books, share: {at_least: 50}}
  - {name: plain, what: everyday, where: {source: films}}
  - {name: all, what: everything, against: plain, plain: base}
reliability:
  - {signals: [sexual.nudity, sexual.explicit], yes: [said], no: [plain]}
"""


def _read(tmp_path: Path, text: str, *, skip_empty: bool = False) -> Sliced:
    path = tmp_path / "slices.yaml"
    path.write_text(text, "utf-8")
    return read_slices(path, _ROWS, skip_empty=skip_empty)


def test_a_file_is_read_in_order_with_the_rows_of_each_slice(tmp_path: Path) -> None:
    found = _read(tmp_path, _GOOD)
    assert [item.name for item in found.slices] == ["said", "plain", "all"]
    assert {name: list(places) for name, places in found.members.items()} == {
        "said": [0],
        "plain": [2],
        "all": [0, 1, 2, 3],
    }
    said, _, everything = found.slices
    assert (said.families, said.against, said.label, everything.plain) == (
        ("sexual.", "minor."),
        "plain",
        "block",
        "base",
    )
    assert set(found.truths) == {"sexual.nudity", "sexual.explicit"}
    truth = found.truths["sexual.nudity"]
    assert (truth.yes, truth.no, truth.names) == (frozenset({0}), frozenset({2}), ("said", "plain"))


def _one(**fields: str) -> str:
    said = {"name": "a", "what": "b", **fields}
    return "slices:\n  - " + "\n    ".join(f"{name}: {value}" for name, value in said.items())


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("slices:\n  - {name: a, name: b}", 2, "is given twice"),
        ("slices:\n  - name: a\n what: b", 3, ""),
        ("slices: []", 1, "at least 1 item"),
        ("slices:\n  - what: b", 2, "'name' is missing"),
        (_one(wher="{source: books}"), 4, "no field is called 'wher'.*did you mean 'where'"),
        (_one(label="maybe"), 4, "not one of block, allow, ambiguous"),
        (_one(where="{sourc: books}"), 4, "no row of the set has a field 'sourc'.*did you mean 'source'"),
        (_one(plain="bas"), 4, "no row of the set has a field 'bas'.*did you mean 'base'"),
        (_one(where="null"), 4, "`where` holds fields"),
        (_one(where="{source: {regex: '('}}"), 4, "does not compile"),
        (_one(families="[sexual., nudity.]"), 4, "no signal's name starts with 'nudity.'"),
        (_one(families="['']"), 4, "no signal's name starts with ''"),
        (_one(against="gone"), 4, "no slice is called 'gone'"),
        (_one(against="a"), 4, "runs in a circle: a -> a"),
        (_one(where="{source: none}"), 2, "no row of the set is in the slice 'a'"),
        (_one(what='"b\\n"'), 3, "one line of printable text"),
        (_one() + "\n  - {name: a, what: c}", 4, "'a' is given twice"),
        (_one(against="c") + "\n  - {name: c, what: c, against: a}", 4, "runs in a circle: a -> c -> a"),
        (_GOOD + "  - {signals: [sexual.nudity], yes: [said], no: [plain]}", 13, "'sexual.nudity' is given twice"),
        (_GOOD + "  - {signals: [sexual.nude], yes: [said], no: [plain]}", 13, "did you mean 'sexual.nudity'"),
        (_GOOD + "  - {signals: [harm.graphic], yes: [sad], no: [plain]}", 13, "'sad'.*did you mean 'said'"),
        (
            _GOOD + "  - {signals: [harm.graphic], yes: [said], no: [all]}",
            13,
            "1 rows are in slices of `yes` and of `no`",
        ),
        (_GOOD + "  - {signals: [harm.graphic], yes: [said]}", 13, "'no' is missing"),
    ],
)
def test_a_wrong_file_is_named_with_the_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"slices\.yaml:{line}: .*{problem}") as refusal:
        _read(tmp_path, text)
    assert "docs/EVALUATION.md" in refusal.value.advice


def test_a_file_that_is_not_there_or_not_text_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_slices(tmp_path / "gone.yaml", _ROWS)
    (tmp_path / "slices.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_slices(tmp_path / "slices.yaml", _ROWS)


def test_slices_of_other_sets_can_be_left_out(tmp_path: Path) -> None:
    text = _GOOD.replace("{source: films}", "{colour: red}")
    with pytest.raises(ConfigurationError, match="'colour'"):
        _read(tmp_path, text)
    found = _read(tmp_path, text, skip_empty=True)
    assert [item.name for item in found.slices] == ["said", "all"]
    assert found.truths == {}


def test_the_documented_file_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "EVALUATION.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "slices.yaml").write_text(text, "utf-8")
    rows = [
        row("1", category="sexual/a", source="collected"),
        row("2", source="scored", nudity_pct=50),
        row("3", source="scored", nudity_pct=49.9),
        row("4", "allow", source="briefs"),
        row("5", "allow", "advert", source="captions"),
        row("6", source="disguised", base="text"),
    ]
    found = read_slices(tmp_path / "slices.yaml", rows)
    assert found.members == {"said": [0, 1], "everyday": [3], "disguised": [5]}
    assert set(found.truths) == {"sexual.nudity", "sexual.explicit"}
