import json
from pathlib import Path

import pytest

from guardrail.errors import ConfigurationError
from guardrail.evaluation import read_set, run
from guardrail.settings import Settings
from guardrail.testing import drawn_picture

_POLICY = """
schema: guardrail/v1
name: test
version: "1"
rules:
  - {id: nude, stage: prompt, when: sexual.nudity >= 0.9, then: block, message: nudity}
"""


def _write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "not JSON"),
        ({"text": "a"}, "needs an `id`"),
        ({"id": "1"}, "needs `text` or `image`"),
        ({"id": "1", "text": "a", "stage": "nowhere"}, "unknown stage"),
        ({"id": "1", "text": "a", "label": "maybe"}, "label 'maybe'"),
        ({"id": "1", "image": "gone.png"}, "no picture at"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, row: object, problem: str) -> None:
    path = _write(tmp_path / "set.jsonl", {"id": "0", "text": "fine"}, row)
    with pytest.raises(ConfigurationError, match=rf"set\.jsonl:2: .*{problem}"):
        read_set(path)


@pytest.mark.models
def test_rows_come_back_in_order_with_rules_and_scores(tmp_path: Path, settings: Settings) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(_POLICY)
    (tmp_path / "a.png").write_bytes(drawn_picture("a"))
    path = _write(
        tmp_path / "set.jsonl",
        {"id": "1", "text": "a nude woman", "label": "block"},
        {"id": "2", "text": "a red barn", "label": "allow"},
        {"id": "3", "image": "a.png", "stage": "output", "label": "allow"},
        {"id": "4", "text": "a barn", "image": "a.png", "stage": "input"},
    )
    results = run(read_set(path), str(policy), settings, jobs=1)
    assert [result["id"] for result in results] == ["1", "2", "3", "4"]
    assert results[0]["action"] == "block"
    assert "nude" in results[0]["rules"]
    assert results[0]["signals"]["sexual.nudity"] >= 0.9
    assert [result["action"] for result in results[1:]] == ["allow"] * 3
    assert not (settings.data_dir / "guardrail.sqlite3").exists() or not list(settings.data_dir.glob("*.jsonl"))
