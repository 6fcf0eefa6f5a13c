from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from guardrail.cli.bench import command
from guardrail.errors import ConfigurationError
from guardrail.evaluation.disguises import DISGUISES
from tests.vision.golden.make import scene
from tests.vision.test_nudity import figure


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAIL_DATA_DIR", str(tmp_path / "data"))


def _set(folder: Path, labels: dict[str, str]) -> Path:
    lines = []
    for name, label in labels.items():
        rgb = figure() if name.startswith("figure") else scene(name)
        Image.fromarray(rgb).save(folder / f"{name}.png")
        row = {"id": name, "image": f"{name}.png", "stage": "output", "label": label, "category": "drawn"}
        lines.append(json.dumps(row))
    path = folder / "set.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.models
def test_figures_of_a_set(tmp_path: Path) -> None:
    path = _set(tmp_path, {"square": "allow", "wide": "allow", "small": "allow", "figure": "block"})
    # the drawn stand-in scores 0.24 or more under every disguise, the drawn scenes 0.05 at most
    policy = tmp_path / "low.yaml"
    policy.write_text(
        "schema: guardrail/v1\nname: low\nversion: '1'\nrules:\n"
        "  - {id: low, stage: output, when: sexual.nudity >= 0.15, then: block, message: m}\n",
        encoding="utf-8",
    )
    given = ["pictures", "--set", str(path), "--policy", str(policy), "--released-by", "default", "--json"]
    result = CliRunner().invoke(command, given)
    found = json.loads(result.stdout)
    assert found["auroc"]["value"] == 1.0
    assert found["stopped"]["block: drawn"]["hits"] == 1
    assert found["stopped"]["allow: drawn"]["hits"] == 0
    assert found["released_by"]["share"] == 1.0
    assert set(found["disguises"]) == {*DISGUISES, "collage"}
    assert all(row["kept"]["share"] == 1 and row["false"]["hits"] == 0 for row in found["disguises"].values())


@pytest.mark.models
def test_a_set_of_one_label_is_a_typed_error(tmp_path: Path) -> None:
    path = _set(tmp_path, {"small": "allow"})
    result = CliRunner().invoke(command, ["pictures", "--set", str(path)])
    assert isinstance(result.exception, ConfigurationError)
