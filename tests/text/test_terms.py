"""Loading the lexicon: the shipped files compile, bad ones say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.errors import ConfigurationError
from guardrail.text import lists
from guardrail.text.terms import EMITS, load_lexicon


@pytest.fixture
def lists_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of lists of our own: the words as shipped, no lexicon."""
    for name in ("words.txt", "given_names.txt", "confusables.tsv", "people.csv", "people_extra.csv"):
        (tmp_path / name).write_bytes((lists.folder() / name).read_bytes())
    monkeypatch.setattr(lists, "folder", lambda: tmp_path)
    for cached in (lists.lexicon_files, load_lexicon):
        cached.cache_clear()
    yield tmp_path
    for cached in (lists.lexicon_files, load_lexicon):
        cached.cache_clear()


def test_the_shipped_lexicon() -> None:
    found = load_lexicon()
    assert {entry.signal for entries in found.entries for entry in entries} == EMITS
    languages = {entry.language for entries in found.entries for entry in entries}
    assert languages >= {"en", "es", "fr", "de", "it", "pt", "nl", "pl", "ru", "tr", "ar", "zh", "ja", "ko", "th"}
    assert all(0 < entry.score <= 1 for entries in found.entries for entry in entries)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("groups: [", "lexicon.yaml"),
        ("- a", "must be a mapping"),
        ("groups: [{score: 0.9}]", "signal"),
        ("groups: [{signal: sexual.nudty, score: 0.9}]", "sexual.nudty"),
        ("groups: [{signal: person.named, score: 0.9}]", "person.named"),
        ("groups: [{signal: sexual.nudity, score: 7}]", "score"),
        ("groups: [{signal: sexual.nudity, score: 0.9, patterns: ['(a']}]", "malformed"),
        ("groups: [{signal: sexual.nudity, score: 0.9, terms: {en: ['']}}]", "empty"),
        ("groups: [{signal: sexual.nudity, score: 0.9, terms: [a]}]", "malformed"),
    ],
)
def test_a_bad_file_is_named(lists_folder: Path, text: str, says: str) -> None:
    (lists_folder / "lexicon.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_lexicon()
    assert "lexicon.yaml" in caught.value.message
    assert caught.value.advice


def test_a_file_of_ones_own(lists_folder: Path) -> None:
    (lists_folder / "lexicon.yaml").write_text(
        "groups: [{signal: sexual.nudity, score: 0.9, terms: {en: [bluebell]}}]", encoding="utf-8"
    )
    assert [entry.signal for (entry,) in load_lexicon().entries] == ["sexual.nudity"]
