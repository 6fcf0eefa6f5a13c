"""Prompt syntax: what the generator is told, and where each character came from."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.text.syntax import as_words, has_syntax, parse

SYNTAX = st.text("ab ([{<|:>}])\\_,.0123-+AND BREAKlora\n", max_size=80)


@settings(deadline=None)
@given(SYNTAX)
def test_every_character_has_an_origin(text: str) -> None:
    parsed = parse(text)
    for position, letter in enumerate(parsed.text):
        origin = parsed.origin(position)
        assert 0 <= origin <= len(text)
        if letter != " ":
            assert text[origin] == letter
    assert all(0 <= start <= end <= len(text) for _, start, end in parsed.names)


@settings(deadline=None)
@given(st.text("ab ,.", max_size=40))
def test_plain_text_has_no_syntax(text: str) -> None:
    assert not has_syntax(text)
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a (red:1.3) fox", "a red fox"),
        ("a ((red)) [fox]", "a red fox"),
        ("(re:1.2)(d:0.9) fox", "red fox"),
        (r"smile \(happy\)", "smile (happy)"),
        ("[cat|dog] in rain", "cat dog in rain"),
        ("[cat:dog:0.5]", "cat dog"),
        ("{cat|dog}", "cat dog"),
        ("{{{cat}}}", "cat"),
        ("portrait: a fox", "portrait: a fox"),
        ("red_fox", "red fox"),
        ("fox and hound", "fox and hound"),
    ],
)
def test_notation(prompt: str, said: str) -> None:
    assert " ".join(parse(prompt).text.split()) == said


def test_parts_are_cut_where_the_generator_cuts() -> None:
    assert parse("a fox BREAK a hound AND a hare:1.2 :: 2 a hen").parts == ("a fox", "a hound", "a hare:1.2", "a hen")


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("<lora:JaneDoe_v2:0.8>", "Jane Doe v 2"),
        ("<lyco:jane-doe>", "jane doe"),
        ("< hypernet : janeDoe : 1 >", "jane Doe"),
        ("embedding:jane_doe", "jane doe"),
        ("__jane/doe__", "jane doe"),
    ],
)
def test_names_are_read_as_words(prompt: str, name: str) -> None:
    ((found, start, end),) = parse(prompt).names
    assert found == name
    assert as_words(prompt[start:end]) == name


def test_parameters_and_weights_vanish() -> None:
    assert parse("a fox --ar 16:9 --v 6").text.split() == ["a", "fox"]
