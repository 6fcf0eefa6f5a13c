"""Words put right, and only odd ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.text.repair import repaired
from guardrail.text.vocabulary import vocabulary


def _repaired(text: str) -> str | None:
    found = repaired(text, vocabulary().odd(text), vocabulary())
    return found[0] if found else None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a n4k3d woman", "a naked woman"),
        ("a nud3 woman", "a nude woman"),
        ("n.u.d.e", "nude"),
        ("n-u-d-e, please", "nude, please"),
        ("na-ked woman", "naked woman"),
        ("a na ked woman", "a naked woman"),
        ("a n*ked woman", "a naked woman"),
        ("naaaakeeed woman", "naked woman"),
        ("a nkaed woman", "a naked woman"),
        ("4 qu137 h4rb0ur", "a quiet harbour"),
        ("th3 m4n'5 h4t", "the man's hat"),
    ],
)
def test_put_right(written: str, meant: str) -> None:
    assert _repaired(written) == meant


@pytest.mark.parametrize(
    "text",
    [
        "a quiet harbour",
        "8k, 4k uhd, 35mm f1.8",
        "seed5",
        "por no llorar",
        "ein kleines haus",
        "собака",
        "",
        "1920x1080",
    ],
)
def test_left_alone(text: str) -> None:
    assert _repaired(text) is None


@settings(deadline=None)
@given(st.text("aehnudk 0134@$!*-.'\"", max_size=60))
def test_moves_cover_the_difference(text: str) -> None:
    found = repaired(text, vocabulary().odd(text), vocabulary())
    if found is None:
        return
    said, moved = found
    at = old_at = 0
    for start, end, old_start, old_end in moved:
        assert said[at:start] == text[old_at:old_start]
        assert 0 <= start <= end <= len(said)
        assert 0 <= old_start < old_end <= len(text)
        at, old_at = end, old_end
    assert said[at:] == text[old_at:]
