import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.text.language import unread_because
from guardrail.text.lexicon import without_benign


@pytest.mark.parametrize(
    "text",
    [
        "a red barn in the snow",
        "masterpiece, best quality, blue dress, garden",
        "greg rutkowski, sharp focus, 8k",
        "a café in Paris with people drinking coffee",
    ],
)
def test_english_and_tag_lists_are_read(text: str) -> None:
    assert unread_because(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "too short to mean anything"),
        ("a", "too short to mean anything"),
        ("une femme lit un livre dans le jardin", "not English"),
        ("ein roter Bauernhof im Schnee", "not English"),
        ("karlı dağlarda bir köy", "not English"),
        ("маяк на закате", "not in Latin script"),
        ("灯台と海の夕焼け", "not in Latin script"),
    ],
)
def test_other_languages_are_left_to_the_word_lists(text: str, why: str) -> None:
    assert unread_because(text) == why


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text: str) -> None:
    assert unread_because(text) in {None, "too short to mean anything", "not in Latin script", "not English"}


def test_benign_phrases_vanish_and_the_rest_stays() -> None:
    assert without_benign("a naked mole rat in a burrow") == "a                in a burrow"
    assert without_benign("a red barn") is None
