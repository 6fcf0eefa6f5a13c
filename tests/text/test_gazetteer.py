"""The list of public figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import ConfigurationError
from guardrail.text import gazetteer
from guardrail.text.gazetteer import Gazetteer, PublicFigure, not_people, reference, shipped_figures
from guardrail.text.vocabulary import vocabulary


def _gazetteer(*names: str) -> Gazetteer:
    return Gazetteer([PublicFigure(name, reference(name), "actor", None) for name in names])


def _found(names: Gazetteer, text: str, *odd: str) -> list[str]:
    return [text[start:end] for _, start, end in names.find(text, odd, vocabulary().parted(text)[1])]


def test_whole_words_only() -> None:
    names = _gazetteer("Ana Lind")
    assert _found(names, "ana lind, smiling") == ["ana lind"]
    assert _found(names, "diana lindberg") == []


def test_the_longest_name_wins() -> None:
    names = _gazetteer("Ana Lind", "Ana Lind Berg", "Berg Tal")
    assert _found(names, "ana lind berg tal") == ["ana lind berg"]


@pytest.mark.parametrize("text", ["ana-lind", "ana_lind", "ana.lind"])
def test_joints(text: str) -> None:
    assert _found(_gazetteer("Ana Lind"), text, text) == [text]


@pytest.mark.parametrize("text", ["j. k. lindqvist", "j.k. lindqvist", "jk lindqvist", "j k lindqvist"])
def test_initials(text: str) -> None:
    assert _found(_gazetteer("J. K. Lindqvist"), text, *text.split()) == [text]


def test_handles() -> None:
    names = _gazetteer("Ana Lindqvist")
    found = names.joined("analindqvist_99")
    assert found is not None
    assert found.ref == reference("ANA LINDQVIST")
    assert names.joined("analind") is None


def test_references_are_opaque_and_fold_case_and_accents() -> None:
    assert reference("Beyoncé") == reference("BEYONCE")
    assert reference("Beyoncé").startswith("pf-")
    assert "beyonc" not in reference("Beyoncé").lower()


def test_shipped_list() -> None:
    figures = shipped_figures()
    assert len({figure.ref for figure in figures}) > 10_000
    eras = {figure.name: figure.historical for figure in figures}
    assert eras["Napoleon Bonaparte"]
    assert not eras["Emma Watson"]
    assert not any(figure.name in ("Rose Garden", "Paris", "Rose") for figure in figures)


def test_phrases_that_are_nobody() -> None:
    assert not_people().find_matches_as_indexes("the mona lisa")
    assert not not_people().find_matches_as_indexes("a quiet harbour")


def test_a_bad_list_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "people_extra.csv").write_text("name,kind,born,aliases\nAna Lind,actor,soon,\n", encoding="utf-8")
    monkeypatch.setattr(gazetteer, "folder", lambda: tmp_path)
    shipped_figures.cache_clear()
    with pytest.raises(ConfigurationError, match=r"people_extra\.csv"):
        shipped_figures()
    shipped_figures.cache_clear()
