import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ConfigurationError
from guardrail.evaluation import read_results
from guardrail.evaluation.results import _result
from guardrail.verdict import Action
from tests.evaluation.parts import result, row, write_set

_ROWS = (row("1"), row("2"))
_ONE = {"id": "1", "action": "block", "rules": ["nude"], "signals": {"sexual.nudity": 1}, "ms": 2}
_TWO = {**_ONE, "id": "2"}


def test_results_come_back_as_written_and_in_the_order_of_the_rows(tmp_path: Path) -> None:
    written = [result("2", Action.HOLD, sexual_nudity=0.25), result("1")]
    path = write_set(tmp_path / "r.jsonl", *(item.to_dict() for item in written), "")
    assert read_results(path, _ROWS) == written[::-1]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ([1], "a result is a JSON object"),
        ({**_TWO, "id": 2}, "with an `id`"),
        ({**_TWO, "action": "marker"}, "`action` is one of allow, flag"),
        ({**_TWO, "action": []}, "`action` is one of"),
        ({**_TWO, "rules": "marker"}, "`rules` is a list"),
        ({**_TWO, "rules": [1]}, "`rules` is a list"),
        ({**_TWO, "ms": -1}, "`ms` is a number"),
        ({**_TWO, "ms": True}, "`ms` is a number"),
        ({**_TWO, "ms": 10**400}, "`ms` is a number"),
        ({**_TWO, "ms": float("nan")}, "`ms` is a number"),
        ({**_TWO, "signals": None}, "`signals` holds scores"),
        ({**_TWO, "signals": {"marker": 1.01}}, "`signals` holds scores"),
        ({**_TWO, "signals": {"a\n": 0.5}}, "`signals` holds scores"),
        ({**_TWO, "signals": {"a": float("nan")}}, "`signals` holds scores"),
        (_ONE, "an id is there twice"),
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(tmp_path: Path, line: object, problem: str) -> None:
    path = write_set(tmp_path / "r.jsonl", _ONE, line)
    with pytest.raises(ConfigurationError, match=rf"r\.jsonl:2: .*{problem}") as refusal:
        read_results(path, _ROWS)
    assert "marker" not in refusal.value.diagnostics()


def test_missing_and_unknown_ids_are_counted(tmp_path: Path) -> None:
    path = write_set(tmp_path / "r.jsonl", _ONE, {**_ONE, "id": "7"}, {**_ONE, "id": "8"})
    with pytest.raises(
        ConfigurationError, match="1 of the set's 2 rows have no result, and 2 results belong to no row"
    ):
        read_results(path, _ROWS)


def test_a_file_that_is_not_there_or_not_text_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_results(tmp_path / "gone", _ROWS)
    (tmp_path / "r.jsonl").write_bytes(json.dumps(_ONE).encode() + b"\n\xff\n")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_results(tmp_path / "r.jsonl", _ROWS)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


_fields = {"id": _json, "action": _json | st.sampled_from(Action), "rules": _json, "signals": _json, "ms": _json}


@given(st.fixed_dictionaries({}, optional=_fields))
def test_any_object_is_a_result_or_a_typed_error(data: dict[str, object]) -> None:
    try:
        found = _result(json.dumps(data), "r.jsonl:1")
    except ConfigurationError:
        return
    assert all(0 <= score <= 1 for score in found.signals.values())
    assert 0 <= found.ms <= 1e12
