from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.signals import best_scores
from guardrail.text.lexicon import LexiconDetector
from guardrail.text.mentions import MERE, mention
from guardrail.text.terms import Entry
from tests.text.tiny import asked

shares = st.floats(0, 1)


@given(shares, shares)
def test_a_mention_never_weighs_more_than_it_is_sure(score: float, sexual: float) -> None:
    assert mention(score, sexual) <= score


@given(shares, shares, shares)
def test_something_sexual_beside_it_never_lowers_it(score: float, less: float, more: float) -> None:
    assert mention(score, min(less, more)) <= mention(score, max(less, more))


@given(shares)
def test_the_floor_still_sees_every_likely_mention(score: float) -> None:
    assert (mention(score, 0.0) >= 0.1) == (score >= 0.5)


@pytest.mark.parametrize(("beside", "weighs"), [(0.0, 0.95 * MERE), (0.1, 0.95 * MERE), (0.5, 0.95)])
def test_the_lexicon_joins_the_two(monkeypatch: pytest.MonkeyPatch, beside: float, weighs: float) -> None:
    def hits(self: LexiconDetector, view: object) -> Iterable[tuple[Entry, float, int, int]]:
        entry = Entry("minor.mention", 0.95, False, True, "en")
        yield entry, entry.score, 0, 1
        if beside:
            yield Entry("sexual.suggestive", beside, False, True, "en"), beside, 2, 5

    monkeypatch.setattr(LexiconDetector, "_hits", hits)
    assert best_scores(LexiconDetector().detect(asked("a red lantern")).signals)["minor.mention"] == pytest.approx(
        weighs
    )
