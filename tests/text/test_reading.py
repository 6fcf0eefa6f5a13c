import base64
import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.text.reading import plainer, readable
from guardrail.text.views import PromptViews


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("painting in the style of amy sillman", "painting in the style of an artist"),
        ("art inspired by adonna khare, 8k", "art inspired by an artist , 8k"),
        ("a naked mole rat", "a something"),
        ("a red barn by the lake", None),
        ("a photo taken by a nude woman", None),
    ],
)
def test_only_names_of_artists_and_benign_phrases_go(text: str, left: str | None) -> None:
    found = plainer(text)
    assert (found.split() if found is not None else None) == (left.split() if left is not None else None)


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    views = readable(PromptViews(text).all)
    assert views or not text.strip() or not PromptViews(text).plain.text
    plainer(text)


def test_gibberish_gives_way_to_what_it_says() -> None:
    names = [view.name for view in readable(PromptViews("a ubefr naq frireny pbjf srrq ba unl").all)]
    assert names
    assert names[0] == "rot13"


def test_a_decoded_part_does_not_silence_the_rest() -> None:
    hidden = "YSByZWQgYmFybiBpbiB0aGUgc25vdyBhdCBkYXdu"
    names = [view.name for view in readable(PromptViews(f"zxqv wvut blorpt {hidden}").all)]
    assert "plain" in names


def test_runs_that_were_decoded_are_blank_where_they_stood() -> None:
    code = base64.b64encode(b"a red engine on the street in a parade").decode()
    read = readable(PromptViews(f"a quiet harbour, style {code}").all)
    assert next(view.name for view in read) == "plain"
    assert "harbour" in read[0].text
    assert code.lower() not in read[0].text
    assert any(view.name == "base64" for view in read)


def test_a_stretch_turned_round_is_read_turned_and_nothing_else_is_lost() -> None:
    turned = codecs.encode("an eagle swooping down to catch a mouse", "rot13")
    read = readable(PromptViews(f"portrait of a dog in a garden. {turned}").all)
    plain = next(view for view in read if view.name == "plain")
    assert "garden" in plain.text
    assert "rntyr" not in plain.text
    assert any("eagle" in view.text for view in read)


def test_no_repair_of_another_language_is_read() -> None:
    assert [view.name for view in readable(PromptViews("was sind gerade gute serien und filme?").all)] == ["plain"]


@given(st.text(max_size=80))
def test_something_is_always_read(text: str) -> None:
    views = PromptViews(text).all
    assert readable(views) or not views[0].text.strip()
