"""Reading data files."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import ConfigurationError
from guardrail.text import lists


def test_shipped_lists() -> None:
    assert len(lists.words()) > 30_000
    assert len(lists.given_names()) > 2_000
    assert lists.ranked_words()[0] == "the"
    assert "laura" in lists.given_names()


def test_comments_and_empty_lines_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("# note\n\none\ntwo\n", encoding="utf-8")
    monkeypatch.setattr(lists, "folder", lambda: tmp_path)
    assert lists.lines("a.txt") == ("one", "two")


def test_missing_and_undecodable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "folder", lambda: tmp_path)
    with pytest.raises(ConfigurationError, match=r"gone\.txt"):
        lists.lines("gone.txt")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"bad\.txt"):
        lists.lines("bad.txt")
    with pytest.raises(ConfigurationError, match=r"bad\.txt"):
        lists.mapping(tmp_path / "bad.txt")
