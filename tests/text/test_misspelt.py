from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.signals import best_scores
from guardrail.text.gazetteer import PublicFigure, reference
from guardrail.text.misspelt import NearlyNames
from guardrail.text.people import PeopleDetector
from guardrail.text.vocabulary import vocabulary
from tests.text.tiny import asked

NAMES = NearlyNames(
    PublicFigure(name, reference(name), "actor", 1980) for name in ("Scarlett Johansson", "Emma Watson", "Bo Derek")
)


def _found(text: str) -> list[str]:
    return [figure.name for figure, _, _ in NAMES.find(text, *vocabulary().parted(text))]


@pytest.mark.parametrize(
    "text",
    [
        "scarlet johansson on a bench",
        "scarlett johanson on a bench",
        "scarlett johannsson's hat",
        "sacrlett johansson",
        "scarlett johanssno",
        "photo of emma watsin",
        "photo of emma wtason",
        "photo of s. johansson",
    ],
)
def test_one_slip_is_seen_through(text: str) -> None:
    assert _found(text)


@pytest.mark.parametrize(
    "text",
    [
        "scarlett johansson on a bench",
        "emma watches television",
        "emily watson reads",
        "gemma watson reads",
        "scrlet johanson",
        "emma, watsin",
        "bo derik",
        "a. watson and sons",
    ],
)
def test_right_names_other_people_and_two_slips_are_not(text: str) -> None:
    assert not _found(text)


def test_the_detector_says_who_is_meant() -> None:
    detector = PeopleDetector()
    scores = best_scores(detector.detect(asked("photo of Scarlet Johanson in a garden")).signals)
    assert scores.get("person.named", 0) < 0.5
    for text in ("photo of Scarlett Johanson in a garden", "photo of Barack Obma in a garden"):
        found = [item for item in detector.detect(asked(text)).signals if item.name == "person.named"]
        assert found, text
        assert found[0].score == pytest.approx(0.8)
        assert found[0].evidence[0].ref
        span = found[0].evidence[0].span
        assert span is not None
        assert text[slice(*span)].startswith(("Scarlett", "Barack"))


@given(st.text(max_size=300))
def test_any_text_is_searched(text: str) -> None:
    for _, start, end in NAMES.find(text, *vocabulary().parted(text)):
        assert 0 <= start < end <= len(text)


def test_long_texts_of_odd_words_are_bounded() -> None:
    rng = random.Random(3)
    odd = " ".join("emma " + "".join(rng.choices("bcdfgkmntw", k=12)) for _ in range(2_000))
    begun = time.process_time()
    NAMES.find(odd, set(odd.split()), set(odd.split()))
    assert time.process_time() - begun < 0.5
