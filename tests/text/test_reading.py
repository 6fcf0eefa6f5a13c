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
