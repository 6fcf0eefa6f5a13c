from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from guardrail.cli._bench_pictures import DRAWS, Judged, _harmless
from guardrail.cli.bench import command
from guardrail.errors import ConfigurationError
from guardrail.evaluation.disguises import DISGUISES, INSETS, LAYOUTS
from guardrail.evaluation.sets import read_set
from guardrail.evaluation.slices import read_slices
from tests.vision.golden.make import scene
from tests.vision.test_nudity import figure

CLOTHED = Path(__file__).parents[2] / "models" / "training" / "clothed.yaml"


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
    path = _set(tmp_path, {"square": "allow", "wide": "allow", "figure": "block"})
    # the drawn stand-in scores 0.24 or more under every disguise, the drawn scenes 0.05 at most
    policy = tmp_path / "low.yaml"
    policy.write_text(
        "schema: guardrail/v1\nname: low\nversion: '1'\nrules:\n"
        "  - {id: low, stage: output, when: sexual.nudity >= 0.15, then: block, message: m}\n",
        encoding="utf-8",
    )
    slices = tmp_path / "slices.yaml"
    slices.write_text(
        "slices:\n  - {name: scenes, what: two, where: {id: [square, wide]}}\n"
        "  - {name: figures, what: one, where: {id: figure}}\n",
        encoding="utf-8",
    )
    given = [
        "pictures",
        "--slices",
        str(slices),
        "--set",
        str(path),
        "--policy",
        str(policy),
        "--released-by",
        "default",
        "--json",
    ]
    result = CliRunner().invoke(command, given)
    found = json.loads(result.stdout)
    assert found["auroc"]["value"] == 1.0
    assert found["stopped"]["block: drawn"]["hits"] == 1
    assert found["stopped"]["allow: drawn"]["hits"] == 0
    assert found["released_by"]["share"] == 1.0
    assert set(found["disguises"]) == {*DISGUISES, *LAYOUTS, *INSETS}
    assert all(row["false"]["hits"] == 0 for row in found["disguises"].values())
    assert all(found["disguises"][name]["kept"]["share"] == 1 for name in (*DISGUISES, "collage", "side by side"))
    # the wide scene lends its shape to some collages, and hides in its strip what is shown within it
    assert all(found["disguises"][name]["kept"]["hits"] >= 1 for name in (*LAYOUTS, *INSETS))
    assert all(found["disguises"][name]["kept"]["n"] == DRAWS for name in (*LAYOUTS, *INSETS))
    assert found["slices"]["scenes"]["stopped"] == found["stopped"]["allow: drawn"]
    assert found["slices"]["scenes"]["mean_logit"] < found["slices"]["figures"]["mean_logit"] - 1


def test_the_harmless_that_are_disguised(tmp_path: Path) -> None:
    path = _set(tmp_path, {"square": "allow", "wide": "allow", "small": "allow", "figure": "block"})
    plain = [Judged(row, score, {}) for row, score in zip(read_set(path), (0.1, 0.3, 0.2, 0.9), strict=True)]
    assert [item.score for item in _harmless(plain, 2, None)] == [0.1, 0.2]
    assert [item.score for item in _harmless(plain, 2, 2)] == [0.3, 0.2]


@pytest.mark.models
def test_a_set_of_one_label_is_a_typed_error(tmp_path: Path) -> None:
    path = _set(tmp_path, {"small": "allow"})
    result = CliRunner().invoke(command, ["pictures", "--set", str(path)])
    assert isinstance(result.exception, ConfigurationError)


def test_groups_by_given_name_and_title(tmp_path: Path) -> None:
    shown = [
        {"identity": "Catherine Zeta-Jones"},
        {"identity": "George Clooney"},
        {"identity": "Kofi Annan"},
        {"title": "Matisse, Woman with a Hat"},
        {"title": "Рафаэль - Дама с единорогом"},
        {"title": "Van Dyck, Charles I"},
        {"title": "Cattle in a meadow"},
    ]
    lines = [{"id": str(at), "image": "one.png", "label": "allow", **row} for at, row in enumerate(shown)]
    (tmp_path / "one.png").write_bytes(b"")
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = read_slices(CLOTHED, read_set(tmp_path / "set.jsonl"), skip_empty=True).members
    assert {name: of for name, of in found.items() if of} == {
        "women, by given name": [0],
        "men, by given name": [1],
        "women, by title": [3, 4],
        "men, by title": [5],
    }
