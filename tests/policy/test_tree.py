from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PolicyError
from guardrail.policy.tree import MAX_BYTES, MAX_DEPTH, read


def test_every_value_knows_its_line() -> None:
    document = read("a: 1\nb:\n  - x\n  - {c: d}\n", "f.yaml")
    assert document.data == {"a": 1, "b": ["x", {"c": "d"}]}
    assert [document.line(path) for path in (("a",), ("b",), ("b", 0), ("b", 1, "c"))] == [1, 2, 3, 4]
    assert document.line(("b", 1, "missing")) == 4
    assert document.line(("elsewhere",)) == 1


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\na: 2", 2, "'a' is given twice"),
        ("a: &x 1\nb: *x", 2, "aliases are not allowed"),
        ("a:\n- !!python/object:os.system x", 2, "tags are not allowed"),
        ("? [a]\n: 1", 1, "a key must be text"),
        ("a: 1\n--- b", 2, "but found another document"),
        ("a: [1\nb: 2\n", 2, "did not find"),
        ("- " + "9" * 5000, 1, "cannot be read"),
        ("[" * 100_000, 1, "nest(ed too deeply|ing depth)"),
        ("", None, "the file is empty"),
        ("\x00", None, "it is not YAML"),
        ("#" * (MAX_BYTES + 1), None, "characters"),
    ],
)
def test_what_is_refused(text: str, line: int | None, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        read(text, "f.yaml")
    assert caught.value.file == "f.yaml"
    assert caught.value.line == line


def test_nesting_up_to_the_bound() -> None:
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH).data != []
    with pytest.raises(PolicyError, match="nested"):
        read("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_a_lone_surrogate_is_refused_wherever_a_parser_lets_it_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.policy.tree._LOADER", yaml.SafeLoader)
    with pytest.raises(PolicyError, match="surrogate"):
        read('a: "\\ud800"')


def test_dates_stay_text() -> None:
    assert read("[2024-01-01, 1, 1.5, true, ~, yes please]").data == ["2024-01-01", 1, 1.5, True, None, "yes please"]


def test_a_large_file_takes_bounded_time() -> None:
    text = ("a:\n" + "- {b: c, d: [1, 2, 3]}\n" * 30_000)[:MAX_BYTES].rsplit("\n", 1)[0]
    begun = time.process_time()
    read(text)
    assert time.process_time() - begun < 20


@given(st.text(alphabet=st.sampled_from("ab:-[]{}\"'\n *&!|>#%?,0.~<\ud800\u2028\u00e9")))
def test_any_text_is_a_document_or_a_policy_error(text: str) -> None:
    try:
        document = read(text, "f.yaml")
    except PolicyError:
        return
    assert document.line(()) is not None
