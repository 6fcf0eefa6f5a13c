"""Encodings and ciphers: found, bounded, and not seen where there are none."""

from __future__ import annotations

import base64
import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.text.decode import MAX_DECODED, decoded, segmented
from guardrail.text.normalise import clean, skeleton
from guardrail.text.vocabulary import vocabulary

SAID = "a wooden boat on a quiet lake"
HIDDEN = {
    "base64": base64.b64encode(SAID.encode()).decode(),
    "hex": SAID.encode().hex(),
    "hex pairs": " ".join(f"{byte:02x}" for byte in SAID.encode()),
    "hex escapes": "".join(f"\\x{byte:02x}" for byte in SAID.encode()),
    "url": "".join(f"%{byte:02x}" for byte in SAID.encode()),
    "html": "".join(f"&#{byte};" for byte in SAID.encode()),
    "rot13": codecs.encode(SAID, "rot13"),
    "reversed": SAID[::-1],
    "bidi": f"\u202e{SAID[::-1]}\u202c",
    "turned": "ǝʞɐl ʇǝınb ɐ uo ʇɐoq uǝpooʍ ɐ",
    "spaced": "a w o o d e n b o a t o n a q u i e t l a k e",
}


def _decoded(text: str) -> list[str]:
    return [item.text for item in decoded(text, vocabulary().odd(skeleton(clean(text))), vocabulary())]


@pytest.mark.parametrize("way", HIDDEN)
def test_found(way: str) -> None:
    assert SAID in [text.strip() for text in _decoded(HIDDEN[way])]


@pytest.mark.parametrize("way", ["base64", "hex", "rot13", "reversed"])
def test_found_inside_a_prompt(way: str) -> None:
    prompt = f"a watercolour of a harbour. {HIDDEN[way]}"
    items = decoded(prompt, vocabulary().odd(skeleton(clean(prompt))), vocabulary())
    (item,) = [item for item in items if item.text.strip() == SAID]
    assert prompt[slice(*item.span)].strip() == HIDDEN[way]


def test_morse() -> None:
    assert "hello world" in _decoded(".... . .-.. .-.. --- / .-- --- .-. .-.. -..")


@pytest.mark.parametrize(
    "text",
    [
        "a quiet harbour at dawn, 8k, highly detailed",
        "ein kleines Haus am See mit rotem Dach",
        "c0ffee bean, deadbeef",
        "internationalisation of photography",
        "100% cotton & silk",
        "to be or not to be",
    ],
)
def test_nothing_where_nothing_is(text: str) -> None:
    assert _decoded(text) == []


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_bounded(text: str) -> None:
    items = decoded(text, vocabulary().odd(skeleton(clean(text))), vocabulary())
    assert len(items) <= MAX_DECODED
    assert all(0 <= item.span[0] <= item.span[1] <= len(text) for item in items)


def test_segmented() -> None:
    assert segmented("thequietharbour") == "the quiet harbour"


@pytest.mark.parametrize(
    "said",
    [
        "Siapa orang pertama yang berjalan di bulan dan apa lautan terbesar",
        "una mujer camina por la orilla del mar con su perro negro",
    ],
)
def test_rot13_of_other_languages_is_known_by_its_vowels(said: str) -> None:
    text = f"a watercolour of a lighthouse. {codecs.encode(said, 'rot13')}"
    found = decoded(text, vocabulary().odd(text.lower()), vocabulary())
    assert said in [item.text for item in found if item.way == "rot13"]


def test_words_no_list_knows_are_not_taken_for_rot13() -> None:
    for text in ("kovalenko oyelaran zubarev in oaxaca", "hdr, rtx, nvidia, npr, pbr, vfx, 8k", "xochitl ixtaccihuatl"):
        assert not [item for item in decoded(text, vocabulary().odd(text), vocabulary()) if item.way == "rot13"]
