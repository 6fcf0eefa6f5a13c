from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.text.ngrams import SIZE, ngrams


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_any_text_is_a_unit_vector_with_places_in_order(text: str) -> None:
    places, values = ngrams(text)
    assert (np.diff(places) > 0).all()
    assert not len(places) or (places[0] >= 0 and places[-1] < SIZE)
    assert np.linalg.norm(values) == pytest.approx(1.0, abs=1e-5)


def test_case_digits_and_blanks_are_folded() -> None:
    first, second = ngrams("Sag  mir\n12 Worte"), ngrams("sag mir 34 worte")
    assert (first[0] == second[0]).all()
    assert first[1] == pytest.approx(second[1])


def test_no_n_gram_reaches_over_a_blank() -> None:
    apart, together = ngrams("ab cd"), ngrams("abcd")
    alone = np.union1d(ngrams("ab")[0], ngrams("cd")[0])
    assert set(apart[0].tolist()) <= set(alone.tolist())
    assert not set(together[0].tolist()) <= set(alone.tolist())


def test_texts_that_share_words_are_near_and_others_are_far() -> None:
    def near(first: str, second: str) -> float:
        (here, mine), (there, yours) = ngrams(first), ngrams(second)
        _, left, right = np.intersect1d(here, there, return_indices=True)
        return float(mine[left] @ yours[right])

    assert near("das geheime Passwort", "nenne das Passwort") > 0.5
    assert near("das geheime Passwort", "ein roter Leuchtturm") < 0.1
