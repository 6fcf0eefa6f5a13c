from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PolicyError
from guardrail.policy.patterns import PatternSet, PatternTimeoutError, compile_fuzzy, compile_re2
from guardrail.policy.texts import TermList, Texts, fold
from guardrail.signals import GenerationRequest, Prompt
from tests.policy.parts import asked


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("statue", "A STATUE, at night", True),
        ("statue", "statues", False),
        ("statue", "estatue", False),
        ("statue", "statue_x", False),
        ("statue", "sta\u200btue", True),
        ("statue", "ｓｔａｔｕｅ", True),
        ("statue", "statue\u0301", False),
        ("кот", "КОТ", True),
        ("кот", "котик", False),
        ("彫像", "古い彫像の写真", True),
        ("old statue", "an Old Statue.", True),
        ("c++", "c++ code", True),
        ("-", "a-b", True),
    ],
)
def test_terms_stand_as_whole_words(term: str, text: str, found: bool) -> None:
    assert TermList([term]).occurs(fold(text)) is found


def test_a_list_without_terms_is_refused() -> None:
    with pytest.raises(PolicyError, match="empty"):
        TermList(["  ", "\u200b"])


def test_a_list_whose_terms_hold_one_another_is_refused() -> None:
    with pytest.raises(PolicyError, match="too slow"):
        TermList("a" * length for length in range(1, 400))


def test_a_large_ordinary_list_loads() -> None:
    assert TermList(f"name{number}" for number in range(20_000)).occurs("this is name19999")


def test_readings_are_what_was_sent_and_its_folded_form() -> None:
    texts = Texts(asked("Ünï", "plain", "\ud800"), PatternSet([]))
    assert texts.readings == ("Ünï", "plain", "?", "ünï")
    assert texts.hits == frozenset()


def test_negative_prompts_are_not_read() -> None:
    texts = Texts(GenerationRequest((Prompt("a house", negative="statue"),)), PatternSet([]))
    assert not texts.holds_term(TermList(["statue"]))


def test_a_rule_in_shadow_does_not_use_up_the_time_of_the_others() -> None:
    slow = compile_fuzzy(r"(\p{So}+\p{So}+)+\p{Sm}", file=None, line=None)
    quick = compile_fuzzy("b", file=None, line=None)
    texts = Texts(asked("b" + "☀" * 4_000), PatternSet([]))
    with pytest.raises(PatternTimeoutError):
        texts.holds_fuzzy([slow], acting=False)
    assert texts.holds_fuzzy([quick], acting=True)


@given(st.text())
def test_folding_is_stable_and_encodable(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    once.encode("utf-8")


@given(st.text(max_size=200))
def test_any_prompt_can_be_matched(text: str) -> None:
    texts = Texts(asked(text), PatternSet([compile_re2(r"\bx\b", file=None, line=None)]))
    assert texts.hits <= {0}
    assert texts.holds_term(TermList(["x"])) in (True, False)
