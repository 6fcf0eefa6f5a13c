import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ConfigurationError
from guardrail.evaluation import read_set
from guardrail.taxonomy import Stage
from guardrail.testing import drawn_picture
from tests.evaluation.parts import write_set


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "not JSON"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"n": ' + "9" * 5_000 + "}", "not JSON"),
        ([1], "is a JSON object"),
        ({"text": "a"}, "needs an `id`"),
        ({"id": "", "text": "a"}, "needs an `id`"),
        ({"id": 1, "text": "a"}, "`id` must be text"),
        ({"id": "1"}, "needs `text` or `image`"),
        ({"id": "1", "text": ["a"]}, "`text` must be text"),
        ({"id": "1", "text": "a", "stage": "nowhere"}, "unknown stage"),
        ({"id": "1", "text": "a", "stage": {}}, "unknown stage"),
        ({"id": "1", "text": "a", "label": "maybe"}, "unknown label"),
        ({"id": "1", "text": "a", "category": 3}, "`category` must be text"),
        ({"id": "1\ud800", "text": "a"}, "printable"),
        ({"id": "1", "text": "a", "category": "a\x1b[31m"}, "printable"),
        ({"id": "1", "image": "gone.png"}, "no picture"),
        ({"id": "1", "image": ""}, "no picture"),
        ({"id": "1", "image": "a\x00b"}, "no picture"),
        ({"id": "1", "image": "a.png", "stage": "prompt"}, "does not go with"),
        ({"id": "0", "text": "a"}, r"the id of .*set\.jsonl:1 again"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, row: object, problem: str) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    path = write_set(tmp_path / "set.jsonl", {"id": "0", "text": "fine"}, row)
    with pytest.raises(ConfigurationError, match=rf"set\.jsonl:2: .*{problem}"):
        read_set(path)


def test_a_refusal_does_not_quote_the_row(tmp_path: Path) -> None:
    for row in ('{"id": "1", "text": "marker", ', {"id": "1", "text": "a", "stage": "marker", "label": "marker"}):
        with pytest.raises(ConfigurationError) as refusal:
            read_set(write_set(tmp_path / "set.jsonl", row))
        assert "marker" not in refusal.value.diagnostics()
        assert refusal.value.__cause__ is None


def test_sets_are_read_in_order_and_blank_lines_and_marks_are_passed_over(tmp_path: Path) -> None:
    first = write_set(
        tmp_path / "a.jsonl", "\ufeff" + json.dumps({"id": "1", "text": "x"}), "", {"id": "2", "text": ""}
    )
    second = write_set(tmp_path / "b.jsonl", {"id": "3", "text": "y\ud800"})
    rows = read_set(first, second)
    assert [(row.id, row.text) for row in rows] == [("1", "x"), ("2", ""), ("3", "y\ud800")]
    assert rows[1].place == f"{first}:3"
    with pytest.raises(ConfigurationError, match=r"the id of .* again"):
        read_set(first, first)


def test_further_fields_of_a_row_are_kept_where_they_are_plain(tmp_path: Path) -> None:
    fields = {
        "source": "a",
        "share": 0.5,
        "new": True,
        "tags": ["x", 1],
        "deep": {"a": 1},
        "none": None,
        "mixed": [[1]],
    }
    (found,) = read_set(write_set(tmp_path / "set.jsonl", {"id": "1", "text": "t", "label": "block", **fields}))
    assert found.extra == {"source": "a", "share": 0.5, "new": True, "tags": ("x", 1)}
    assert (found.value("tags"), found.value("label"), found.value("stage"), found.value("deep")) == (
        ("x", 1),
        "block",
        "prompt",
        None,
    )
    assert set(found.names) == {"id", "text", "label", "category", "stage", "source", "share", "new", "tags"}
    assert isinstance(hash(found), int)


def test_what_a_row_leaves_out_is_filled_in(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.png").write_bytes(drawn_picture("a"))
    rows = read_set(
        write_set(
            tmp_path / "set.jsonl",
            {"id": "1", "text": "a"},
            {"id": "2", "image": "deep/a.png"},
            {"id": "3", "text": "a", "image": "deep/a.png"},
            {"id": "4", "text": "a", "image": "deep/a.png", "stage": "output", "label": "allow", "category": "c"},
        )
    )
    assert [row.stage for row in rows] == [Stage.PROMPT, Stage.OUTPUT, Stage.INPUT, Stage.OUTPUT]
    assert [(row.label, row.category) for row in rows] == [("ambiguous", "")] * 3 + [("allow", "c")]
    assert rows[1].image == tmp_path / "deep" / "a.png"


def test_files_that_hold_no_rows_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no rows"):
        read_set(write_set(tmp_path / "empty.jsonl", "", " "))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_set(tmp_path / "gone.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b'{"id": "1", "text": "a"}\n{"id": "2", "text": "\xff"}\n')
    with pytest.raises(ConfigurationError, match=r"broken\.jsonl:\d: not UTF-8"):
        read_set(broken)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sets")


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_typed_error(folder: Path, data: bytes) -> None:
    path = folder / "set.jsonl"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError):
        read_set(path)


_json = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=2))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "text", "image", "stage", "label", "category"), _json)))
def test_any_object_is_a_row_or_a_typed_error(folder: Path, data: dict[str, object]) -> None:
    path = write_set(folder / "set.jsonl", data)
    try:
        (row,) = read_set(path)
    except ConfigurationError:
        return
    assert (row.id, row.text) == (data["id"], data.get("text"))
