from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PolicyError
from guardrail.policy.patterns import (
    LONGEST_TEXT,
    MAX_PATTERN_LENGTH,
    SET_SIZE,
    Budget,
    PatternSet,
    PatternTimeoutError,
    compile_fuzzy,
    compile_re2,
    hostile,
)


def one(pattern: str) -> PatternSet:
    return PatternSet([compile_re2(pattern, file=None, line=None)])


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"\bкот\b", ["кот", "а кот.", "«кот»"], ["котик", "скот"]),
        (r"\bcaf\b", ["caf!"], ["café"]),
        (r"(?i)\bfoo\b", ["a FOO b"], ["fooé"]),
        (r"\b裸\b", ["裸の人"], ["人"]),
        (r"^a\w+z$", ["aéz"], ["a-z", " abz"]),
        (r"[\w-]+!\d", ["é-!٣"], ["!x"]),
        (r"[[:digit:]\D]x", ["ax"], ["x"]),
        (r"a\Wb", ["a b"], ["aéb"]),
        (r"a\Db", ["a b"], ["a٣b"]),
        (r"\Q\b[\E\w", [r"\b[é"], ["b"]),
        (r"[]\w]x", ["]x", "éx"], ["-x"]),
        (r"[^]a]x", ["bx"], ["]x"]),
        (r"[a[]\b", ["["], ["ab"]),
    ],
)
def test_words_digits_and_edges_are_those_of_unicode(pattern: str, yes: list[str], no: list[str]) -> None:
    matcher = one(pattern)
    assert all(matcher.matches(text) == {0} for text in yes)
    assert all(matcher.matches(text) == set() for text in no)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"a\bb", "ASCII only"),
        (r"\Ba", "ASCII only"),
        (r"[\W]", r"write \[\^"),
        (r"(?=a)", "does not compile"),
        (r"(a)\1", "does not compile"),
        ("(", "does not compile"),
        ("\\", "does not compile"),
        (r"(\pL{1000}){1000}", "does not compile"),
        ("a" * (MAX_PATTERN_LENGTH + 1), "characters"),
    ],
)
def test_re2_patterns_that_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        compile_re2(pattern, file="f.yaml", line=3)
    assert caught.value.line == 3


def test_positions_hold_over_several_sets() -> None:
    count = SET_SIZE * 3 + 5
    matcher = PatternSet([compile_re2(rf"\bword{number}\b", file=None, line=None) for number in range(count)])
    assert matcher.matches("word0 word127, word128; word386") == {0, 127, 128, 386}
    assert matcher.matches(" ".join(f"word{number}" for number in range(count))) == set(range(count))
    assert PatternSet([]).matches("anything") == set()


def test_linear_on_what_makes_others_explode() -> None:
    matcher = one(r"(a+)+$b")
    begun = time.process_time()
    assert matcher.matches("a" * LONGEST_TEXT) == set()
    assert time.process_time() - begun < 1


def test_patterns_that_are_too_slow_or_too_large_together_do_not_load() -> None:
    begun = time.process_time()
    with pytest.raises(PolicyError, match="too slow together"):
        PatternSet([f"[ab].{{{number}}}x" for number in range(900, 960)])
    assert time.process_time() - begun < 10
    large = [rf"x{number}[^\pL\pM\pN_]{{80}}" for number in range(SET_SIZE)]
    with pytest.raises(PolicyError, match="too much memory"):
        PatternSet(large)


def test_an_answer_without_the_sentinel_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class OutOfMemory:
        def Match(self, text: str) -> None:  # noqa: N802
            return None

    matcher = one("a")
    monkeypatch.setattr(matcher, "_sets", [(OutOfMemory(), 1)])
    with pytest.raises(PatternTimeoutError):
        matcher.matches("a")


def test_a_slow_pattern_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.policy.patterns.LOAD_BUDGET_S", 0.0)
    with pytest.raises(PolicyError, match="too slow on long text"):
        compile_re2("a", file=None, line=None)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "does not compile"),
        ("(?:" * 390 + "a" + ")*" * 390, "does not compile"),
        ("(?:(?:a{1000}){1000}){1000}", "repeats"),
        ("(?:a{99999999999})", "repeats"),
        ("(x+x+)+y", "too slow"),
        ("a" * (MAX_PATTERN_LENGTH + 1), "characters"),
    ],
)
def test_regex_patterns_that_are_refused(pattern: str, message: str) -> None:
    begun = time.process_time()
    with pytest.raises(PolicyError, match=message):
        compile_fuzzy(pattern, file="f.yaml", line=3)
    assert time.process_time() - begun < 2


def test_fuzzy_and_lookaround() -> None:
    budget = Budget(10.0)
    assert compile_fuzzy("(?:statue){e<=1}", file=None, line=None).matches("a statoe", budget)
    assert not compile_fuzzy("(?<!no )statue", file=None, line=None).matches("no statue", budget)
    assert budget.left < 10.0


def test_time_is_shared_and_ends() -> None:
    pattern = compile_fuzzy("(?:b|b?c)+d", file=None, line=None)
    with pytest.raises(PatternTimeoutError):
        pattern.matches("text", Budget(0.0))
    slow = compile_fuzzy(r"(\p{So}+\p{So}+)+\p{Sm}", file=None, line=None)
    budget = Budget(0.05)
    begun = time.process_time()
    with pytest.raises(PatternTimeoutError):
        slow.matches("☀" * LONGEST_TEXT, budget)
    assert time.process_time() - begun < 2


def test_hostile_text_uses_the_pattern_s_own_letters() -> None:
    texts = list(hostile("(qz)+"))
    assert any("qzqzqz" in text for text in texts)
    assert any("qqqq" in text for text in texts)
    assert max(map(len, texts)) < LONGEST_TEXT


@given(st.text(alphabet=st.sampled_from(list("ab\\[]()^$|*+?{}1,.:wWdDbBQE-éк")), max_size=30), st.text(max_size=30))
def test_any_pattern_compiles_and_answers_or_is_a_policy_error(pattern: str, text: str) -> None:
    try:
        made = compile_re2(pattern, file=None, line=None)
    except PolicyError:
        return
    clean = text.encode("utf-8", "replace").decode()
    assert PatternSet([made]).matches(clean) <= {0}
