import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.text.language import tongues
from guardrail.text.lexicon import without_benign


@pytest.mark.parametrize(
    "text",
    [
        "a red barn in the snow",
        "masterpiece, best quality, blue dress, garden",
        "greg rutkowski, sharp focus, 8k",
        "a caf\u00e9 in Paris with people drinking coffee",
        "xq zvvrt klpqw mnbtr",
        "a",
        "",
    ],
)
def test_english_tag_lists_and_unknown_words_are_read_as_english(text: str) -> None:
    assert tongues(text).english == text
    assert tongues(text).other == ""


@pytest.mark.parametrize(
    "text",
    [
        "une femme lit un livre dans le jardin",
        "ein roter Bauernhof im Schnee",
        "karl\u0131 da\u011flarda bir k\u00f6y",
        "\u043c\u0430\u044f\u043a \u043d\u0430 \u0437\u0430\u043a\u0430\u0442\u0435",
        "\u706f\u53f0\u3068\u6d77\u306e\u5915\u713c\u3051",
        "un bateau rouge, une femme, dans le jardin, avec un chat",
    ],
)
def test_other_languages_are_left_to_the_other_network(text: str) -> None:
    assert tongues(text).english == ""
    assert tongues(text).other == text


@pytest.mark.parametrize("padding", ["la el de que und der une dans les pour", "\u043c\u0430\u044f\u043a " * 12])
@pytest.mark.parametrize("joint", [". ", ", ", "\n", "; "])
def test_foreign_words_around_it_do_not_hide_an_english_request(padding: str, joint: str) -> None:
    request = "two people standing in the old house"
    assert request in tongues(f"{padding}{joint}{request}{joint}{padding}").english
    assert request in tongues(f"{request}{joint}{padding * 9}").english


@given(st.text(max_size=200))
def test_every_word_goes_to_a_network(text: str) -> None:
    found = tongues(text)
    assert set(found.unclear) <= set(found.english)
    for word in text.split():
        if word.isalpha():
            assert word in found.english or word in found.other


@given(st.lists(st.sampled_from(["nude", "woman", "la", "der", "que", "bed", "mujer", "und", ",", "."]), max_size=40))
def test_no_mixture_of_languages_leaves_a_word_unread(pieces: list[str]) -> None:
    found = tongues(" ".join(pieces))
    read = (found.english + " " + found.other).replace(",", " ").replace(".", " ").split()
    assert {piece for piece in pieces if piece.isalpha()} <= set(read)


def test_benign_phrases_vanish_and_the_rest_stays() -> None:
    assert without_benign("a naked mole rat in a burrow") == "a                in a burrow"
    assert without_benign("a red barn") is None
