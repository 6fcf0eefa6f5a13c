from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from guardrail.cli.bench import command
from guardrail.evaluation.edits import measured
from guardrail.evaluation.sets import read_set
from guardrail.inference import ModelStore
from tests.vision.marker import MarkedModels, marked
from tests.vision.test_detect import portrait

pytestmark = pytest.mark.models


@pytest.fixture
def pictures(tmp_path: Path, models: ModelStore) -> Path:
    """A set of three: a bare figure (the mark stands for skin), a clothed one, and one without a face."""
    rgb = portrait(models, "astronaut.png")
    Image.fromarray(marked(rgb, (0.2, 0.5, 0.8, 1.0))).save(tmp_path / "bare.png")
    Image.fromarray(rgb).save(tmp_path / "clothed.png")
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "nobody.png")
    rows = [
        {"id": name, "image": f"{name}.png", "stage": "output", "label": label, "category": category}
        for name, label, category in (
            ("bare", "block", "figures"),
            ("clothed", "allow", "people"),
            ("nobody", "allow", "people"),
        )
    ]
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_is_uncovered_is_told_from_what_only_changes(pictures: Path, models: ModelStore) -> None:
    found = measured(MarkedModels(models), read_set(pictures))
    assert set(found) == {"figures, uncovered", "people, new background", "people, other light"}
    assert (found["figures, uncovered"].raised.n, found["figures, uncovered"].raised.hits) == (1, 1)
    for kind in ("people, new background", "people, other light"):
        assert (found[kind].raised.n, found[kind].raised.hits, found[kind].without_face) == (1, 0, 1)


def test_the_command_prints_rates(pictures: Path) -> None:
    done = CliRunner().invoke(command, ["edits", "--set", str(pictures), "--json"])
    found = json.loads(done.output)
    assert found["people, new background"]["raised"]["hits"] == 0
    assert found["people, new background"]["without a face"] == 1
