from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from guardrail.cli.bench import command
from guardrail.errors import ConfigurationError
from guardrail.evaluation.face_disguises import DISGUISES
from guardrail.evaluation.faces import (
    Pairs,
    identification,
    read_pairs,
    search_cost,
    synthetic_templates,
    verification,
)
from guardrail.inference import ModelStore
from guardrail.settings import Faces
from guardrail.vision.matching import STRANGERS_MEAN, STRANGERS_SPREAD
from guardrail.vision.nets import Tensor
from tests.vision.test_detect import portrait

SHARED = Path("../shared/eval/pictures/face_pairs.csv")


def _people(count: int, each: int) -> tuple[Pairs, dict[str, tuple[Tensor, Tensor]]]:
    """Synthetic people with `each` pictures that resemble one another by 0.56, and every pair of them."""
    random = np.random.default_rng(1)
    known: dict[str, tuple[Tensor, Tensor]] = {}
    for person, centre in enumerate(synthetic_templates(count, seed=9)):
        for number in range(each):
            noise = random.standard_normal(128, dtype=np.float32)
            noise -= (noise @ centre) * centre
            made = 0.75 * centre + 0.6614 * noise / np.linalg.norm(noise)
            known[f"{person}/{number}"] = (made.astype(np.float32), made.astype(np.float32))
    names = list(known)
    rows = tuple((a, b, a.split("/")[0] == b.split("/")[0]) for i, a in enumerate(names) for b in names[i + 1 :])
    return Pairs(Path(), rows), known


def test_synthetic_strangers_are_as_alike_as_real_ones() -> None:
    rows = synthetic_templates(2_000)
    cosines = (rows @ rows.T)[np.triu_indices(2_000, 1)]
    assert cosines.mean() == pytest.approx(STRANGERS_MEAN, abs=0.01)
    assert cosines.std() == pytest.approx(STRANGERS_SPREAD, abs=0.01)


def test_verification_of_people_who_are_easily_told_apart() -> None:
    pairs, known = _people(40, 3)
    found = verification(pairs, known, Faces())
    assert found["auroc"] > 0.999
    assert found["tar_at_far"]["0.001"]["tar"] > 0.95
    assert found["tar_at_far"]["0.001"]["low"] <= found["tar_at_far"]["0.001"]["tar"]
    assert found["even"]["far"]["share"] < 0.005
    # somebody else's templates in place of one's own: nothing is told apart
    shuffled = dict(zip(known, reversed(known.values()), strict=True))
    swapped = {name: (shuffled if number % 2 else known)[name] for number, name in enumerate(known)}
    assert verification(pairs, swapped, Faces())["auroc"] < 0.9


def test_identification_counts_alarms_and_finds() -> None:
    pairs, known = _people(40, 3)
    found = identification(pairs, known, Faces(), 2_000)
    assert found["templates"] == 2_120
    assert found["false alarms at 0.3"]["share"] < 0.02
    assert found["found, several at 0.5"]["share"] > found["found, one picture at 0.5"]["share"]


def test_search_is_measured() -> None:
    found = search_cost(60_000, probes=50)
    assert not found["exact"]
    assert found["recall at 0.65"]["share"] >= 0.98
    assert search_cost(1_000, probes=5)["recall at 0.55"]["share"] == 1.0


@pytest.mark.parametrize("text", ["", "a,b\nx,y\n", "a,b,same\nx,y,1\n"])
def test_a_file_that_holds_no_pairs_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        read_pairs(file)
    with pytest.raises(ConfigurationError):
        read_pairs(tmp_path / "gone.csv")


@pytest.mark.models
@pytest.mark.slow
def test_the_command_measures_pairs_of_files(tmp_path: Path, models: ModelStore) -> None:
    for name in ("astronaut.png", "grace_hopper.jpg"):
        rgb = Image.fromarray(portrait(models, name))
        rgb.save(tmp_path / f"{name}.one.png")
        rgb.reduce(2).save(tmp_path / f"{name}.two.png")
    lines = [
        f"{a}.one.png,{b}.two.png,{int(a == b)}"
        for a in ("astronaut.png", "grace_hopper.jpg")
        for b in ("astronaut.png", "grace_hopper.jpg")
    ]
    (tmp_path / "pairs.csv").write_text("a,b,same\n" + "\n".join(lines) + "\n")
    options = ["faces", "--pairs", str(tmp_path / "pairs.csv"), "--people", "100", "--every", "2", "--json"]
    done = CliRunner().invoke(command, options)
    found = json.loads(done.output)
    assert found["verification"]["even"]["tar"]["hits"] == 2
    assert found["verification"]["even"]["far"]["hits"] == 0
    assert set(found["disguises"]) == set(DISGUISES)
    assert found["disguises"]["mirrored"]["tar"]["share"] == 1.0
    assert CliRunner().invoke(command, ["faces"]).exit_code == 2


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="../shared/eval is not here")
def test_portraits_of_the_shared_set_reach_the_bar(models: ModelStore) -> None:
    from guardrail.evaluation.faces import templates

    pairs = read_pairs(SHARED)
    # a fifth of the pictures, with all pairs among them
    names = set(pairs.names[::5])
    some = Pairs(pairs.folder, tuple(row for row in pairs.rows if row[0] in names and row[1] in names))
    found = verification(some, templates(models, some, some.names), Faces())
    assert found["even"]["tar"]["share"] >= 0.96
    assert found["even"]["far"]["share"] <= 0.005
