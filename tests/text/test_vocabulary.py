"""Which words are known."""

from __future__ import annotations

from guardrail.text.vocabulary import vocabulary


def test_odd_is_what_no_list_knows() -> None:
    found = vocabulary()
    assert found.odd("a quiet harbour, at dawn. laura smiles.") == set()
    assert found.odd("a n4k3d harbour, qqzx") == {"n4k3d", "qqzx"}


def test_terms_are_plain_words_and_cuts_make_them() -> None:
    found = vocabulary()
    assert "naked" in found.terms
    assert "child" not in found.terms
    assert ("na", "ked") in found.cuts
    assert {"na", "ked"} <= found.pieces
    assert found.terms <= found.listed <= found.words
