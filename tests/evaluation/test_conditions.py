import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ConfigurationError
from guardrail.evaluation.conditions import parse_where
from guardrail.policy.tree import read
from tests.evaluation.parts import row

_ROW = row("1", "block", "art/nude", source="books", share=50.0, count=3, new=True, tags=("old", "oil"), odd="a\ud800b")


def _holds(where: str) -> bool:
    document = read(f"where: {where}", "slices.yaml")
    assert isinstance(document.data, dict)
    groups = parse_where(document, ("where",), document.data["where"])
    return any(all(condition.holds(_ROW) for condition in group) for group in groups)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("{source: books}", True),
        ("{source: book}", False),
        ("{source: [films, books]}", True),
        ("{source: books, category: art/clothed}", False),
        ("[{source: films}, {category: art/nude}]", True),
        ("[{source: films}, {source: books, label: allow}]", False),
        ("{label: block, stage: prompt, id: '1', text: text}", True),
        ("{category: {regex: '^art/'}}", True),
        ("{category: {regex: ^nude}}", False),
        ("{category: {regex: nude, not: {regex: clothed}}}", True),
        ("{category: {regex: nude, not: {regex: art}}}", False),
        ("{category: {not: art/nude}}", False),
        ("{category: {not: [a, b]}}", True),
        ("{share: {at_least: 50}}", True),
        ("{share: {above: 50}}", False),
        ("{share: {at_most: 50.0, above: 49}}", True),
        ("{share: {below: 50}}", False),
        ("{count: 3}", True),
        ("{count: 3.0}", True),
        ("{count: '3'}", False),
        ("{new: true}", True),
        ("{new: 1}", False),
        ("{new: {at_least: 0}}", False),
        ("{source: {at_least: 0}}", False),
        ("{count: {regex: '3'}}", False),
        ("{tags: oil}", True),
        ("{tags: {not: oil}}", False),
        ("{odd: {regex: ^a.b$}}", True),
        ("{gone: books}", False),
        ("{gone: {at_least: 0}}", False),
        ("{gone: {not: books}}", True),
    ],
)
def test_conditions(where: str, expected: bool) -> None:
    assert _holds(where) is expected


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("books", "holds fields"),
        ("[]", "holds fields"),
        ("{}", "at least one field"),
        ("[books]", "at least one field"),
        ("{source: null}", "compared with text"),
        ("{source: []}", "compared with text"),
        ("{source: [[a]]}", "compared with text"),
        ("{source: {}}", "a test is missing"),
        ("{source: {regexp: a}}", "no test is called 'regexp'.*did you mean 'regex'"),
        ("{source: {regex: '(?=a)'}}", "does not compile.*no lookaround"),
        ("{source: {regex: [a]}}", "takes text"),
        ("{source: {not: {at_least: 1}}}", "`not` takes"),
        ("{share: {at_least: '50'}}", "takes a number"),
        ("{share: {at_least: true}}", "takes a number"),
        ("{share: {at_least: .nan}}", "takes a number"),
    ],
)
def test_a_wrong_condition_is_named_by_file_and_line(where: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"slices\.yaml:1: .*{problem}") as refusal:
        _holds(where)
    assert "docs/EVALUATION.md" in refusal.value.advice


def test_a_pattern_that_would_hang_a_backtracking_engine_ends_at_once() -> None:
    document = read("where: {text: {regex: '(a+)+$'}}", "slices.yaml")
    ((condition,),) = parse_where(document, ("where",), {"text": {"regex": "(a+)+$"}})
    assert condition.holds(row("1", text="a" * 50_000 + "!")) is False
    with pytest.raises(ConfigurationError, match="at most 2000"):
        parse_where(document, ("where",), {"text": {"regex": "a" * 2_001}})


_said = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["regex", "not", "above"]), inner, max_size=3)
    ),
)


@given(_said)
def test_anything_is_conditions_or_a_typed_error(where: object) -> None:
    document = read("where: x", "slices.yaml")
    try:
        groups = parse_where(document, ("where",), where)
    except ConfigurationError:
        return
    for group in groups:
        assert all(isinstance(condition.holds(_ROW), bool) for condition in group)
