"""The readings of a prompt, shared and traceable."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.signals import GenerationRequest, Prompt, Subject
from guardrail.taxonomy import Stage
from guardrail.text.views import PromptViews, views_of

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)
MARKED = st.text("nude n4k3d (:1.2)[|]<lora:jane_doe:1>\u200b\u0435é bnVkZQ==%6e-", max_size=80)


@settings(deadline=None, max_examples=200)
@given(ANYTHING | MARKED)
def test_any_string_and_spans_inside(text: str) -> None:
    for view in PromptViews(text).all:
        size = len(view.text)
        for start, end in ((0, size), (size // 2, size), (0, min(1, size)), (size, size)):
            low, high = view.span_of(start, end)
            assert 0 <= low <= high <= len(text)


def test_shared_by_a_subject() -> None:
    prompt = Prompt("a boat", negative="nude")
    subject = Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt)
    assert views_of(subject) is views_of(subject)
    assert views_of(subject).original == "a boat"
    assert views_of(Subject(Stage.PROMPT, GenerationRequest())).original == ""


@pytest.mark.parametrize(
    ("prompt", "view", "word", "original"),
    [
        ("A Boat", "plain", "boat", "Boat"),
        ("a b\u200boat", "plain", "boat", "b\u200boat"),
        ("a (bo:1.2)(at)", "syntax", "boat", "bo:1.2)(at"),
        ("a b0at1ng l4ke with w4ter", "repaired", "water", "w4ter"),
        ("<lora:red_boat:1> x", "lora", "boat", "red_boat"),
        ("see YSBib2F0IG9uIGEgbGFrZQ==", "base64", "boat", "YSBib2F0IG9uIGEgbGFrZQ=="),
    ],
)
def test_evidence_points_at_what_was_written(prompt: str, view: str, word: str, original: str) -> None:
    (found,) = [item for item in PromptViews(prompt).all if item.name == view]
    start = found.text.index(word)
    assert prompt[slice(*found.span_of(start, start + len(word)))] == original


def test_plain_text_has_one_reading() -> None:
    assert [view.name for view in PromptViews("a quiet harbour at dawn, 35mm").all] == ["plain"]


def test_nested_encodings_are_opened_twice() -> None:
    assert any(view.text == "a boat on a lake" for view in PromptViews("WVNCaWIyRjBJRzl1SUdFZ2JHRnJaUT09").all)


def test_parts() -> None:
    assert PromptViews("a fox BREAK a hound").parts == ("a fox", "a hound")
    assert PromptViews("a fox").parts == ("a fox",)


def test_foreign() -> None:
    assert PromptViews("zażółć gęślą jaźń").plain.foreign
    assert not PromptViews("a quiet harbour").plain.foreign
