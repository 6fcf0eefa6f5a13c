"""The command line as a user calls it: real files, real models, exit statuses, and JSON alone on standard output."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from guardrail.cli import cli
from guardrail.inference import ModelStore
from guardrail.settings import load_settings
from guardrail.testing import drawn_picture

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GUARDRAIL_MODELS_DIR", str(load_settings().models_dir))
    monkeypatch.setenv("GUARDRAIL_DATA_DIR", str(tmp_path / "data"))

    def call(*arguments: str, **options: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), **options)  # type: ignore[arg-type]

    return call


@pytest.fixture
def portrait(tmp_path: Path, models: ModelStore) -> Path:
    path = tmp_path / "portrait.png"
    path.write_bytes(models.file("sample-portraits", "astronaut.png").read_bytes())
    return path


def test_every_verb_has_help(run: Run) -> None:
    top = run("--help")
    assert top.exit_code == 0
    for verb in ("bench", "check", "demo", "eval", "models", "people", "policy", "serve", "takedown"):
        assert verb in top.output
        assert run(verb, "--help").exit_code == 0
    assert run("nothing").exit_code == 2


@pytest.mark.models
@pytest.mark.parametrize(("prompt", "status"), [("a red barn in the snow", 0), ("a nude woman", 1)])
def test_check_a_prompt(run: Run, prompt: str, status: int) -> None:
    done = run("check", "--prompt", prompt, "--json")
    assert done.exit_code == status
    report = json.loads(done.output)
    assert report["released"] is (status == 0)
    assert report["verdicts"][0]["policy"]["name"] == "default"
    assert bool(report["verdicts"][0]["models"]) is (status == 0), "a rule alone settles what is said plainly"
    table = run("check", "--prompt", "-", input=prompt)
    assert table.exit_code == status
    assert prompt not in table.output


@pytest.mark.models
def test_check_pictures_as_outputs_and_as_uploads(run: Run, portrait: Path) -> None:
    assert run("check", "--image", str(portrait)).exit_code == 0
    done = run("check", "--prompt", "take her clothes off", "--image", str(portrait), "--json")
    assert done.exit_code == 1
    assert [verdict["stage"] for verdict in json.loads(done.output)["verdicts"]] == ["prompt", "input"]
    broken = portrait.with_name("broken.png")
    broken.write_bytes(b"\x89PNG nothing")
    assert run("check", "--image", str(broken)).exit_code == 1


def test_check_a_whole_edit(run: Run, portrait: Path, tmp_path: Path) -> None:
    with Image.open(portrait) as opened:
        size = opened.size
        lighter = opened.convert("RGB").point(lambda level: min(255, level + 12))
    lighter.save(tmp_path / "out.png")
    mask = Image.new("L", size, 0)
    mask.paste(255, (size[0] // 4, size[1] // 2, 3 * size[0] // 4, size[1]))
    mask.save(tmp_path / "mask.png")
    edit = ["--upload", str(portrait), "--image", str(tmp_path / "out.png"), "--json"]
    done = run("check", *edit)
    assert done.exit_code == 0
    stages = {item["stage"]: item for item in json.loads(done.stdout)["verdicts"]}
    assert set(stages) == {"input", "output"}
    same = [item["score"] for item in stages["output"]["signals"] if item["name"] == "person.same_as_input"]
    assert max(same) > 0.9
    done = run("check", *edit, "--mask", str(tmp_path / "mask.png"), "--prompt", "a red dress")
    found = {item["stage"]: item["signals"] for item in json.loads(done.stdout)["verdicts"]}
    assert set(found) == {"prompt", "input", "output"}
    assert max(item["score"] for item in found["input"] if item["name"] == "edit.mask_over_person") > 0.5


def test_check_refuses_what_makes_no_sense(run: Run, portrait: Path) -> None:
    assert run("check").exit_code == 2
    assert run("check", "--image", "gone.png").exit_code == 2
    assert run("check", "--mask", str(portrait), "--prompt", "a").exit_code == 2
    assert run("check", "--upload", str(portrait), "--stage", "input").exit_code == 2
    odd = run("check", "--prompt", "a", "--image", str(portrait), "--stage", "prompt")
    assert odd.exception is not None
    assert "does not go with" in str(odd.exception)


@pytest.mark.models
def test_an_enrolled_person_is_not_released_until_erased(run: Run, portrait: Path) -> None:
    enrolled = json.loads(run("people", "enrol", str(portrait), "--id", "p-1", "--label", "someone", "--json").output)
    assert enrolled == {"id": "p-1", "templates": 1}
    assert json.loads(run("people", "list", "--json").output)[0]["label"] == "someone"
    mirrored = portrait.with_name("mirrored.jpg")
    Image.open(portrait).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored, quality=85)
    blocked = run("check", "--image", str(mirrored), "--json")
    assert blocked.exit_code == 1
    assert json.loads(blocked.output)["verdicts"][0]["reasons"][0]["rule"].startswith("person-protected")
    assert run("people", "erase", "p-1").exit_code == 0
    assert run("people", "erase", "p-1").exit_code == 1
    assert run("check", "--image", str(mirrored)).exit_code == 0


@pytest.mark.models
def test_a_listed_picture_is_not_released_until_removed(run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(drawn_picture("b"))
    listed = json.loads(run("takedown", "add", str(picture), "--json").output)["ids"][0]
    again = tmp_path / "again.jpg"
    Image.open(picture).resize((200, 200)).save(again, quality=70)
    blocked = run("check", "--image", str(again), "--json")
    assert blocked.exit_code == 1
    assert json.loads(blocked.output)["verdicts"][0]["reasons"][0]["rule"] == "listed-picture"
    assert listed in run("takedown", "list").output
    assert run("takedown", "remove", listed).exit_code == 0
    assert run("takedown", "remove", listed).exit_code == 1
    assert run("check", "--image", str(again)).exit_code == 0


@pytest.mark.models
def test_what_cannot_be_enrolled_or_listed_is_a_typed_error(run: Run, tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(data, "PNG")
    flat.write_bytes(data.getvalue())
    for arguments in (
        ("people", "enrol", str(flat)),
        ("takedown", "add", str(flat)),
        ("takedown", "add", "--hash", "zz"),
    ):
        done = run(*arguments)
        assert done.exit_code != 0
        assert type(done.exception).__name__ in {"PictureError", "InputError"}


@pytest.mark.models
def test_eval_writes_results_and_prints_rates(run: Run, tmp_path: Path) -> None:
    rows = [
        {"id": "1", "text": "a nude woman", "label": "block", "category": "said"},
        {"id": "2", "text": "a red barn", "label": "allow", "category": "plain"},
    ]
    labelled = tmp_path / "set.jsonl"
    labelled.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "results.jsonl"
    done = run("eval", str(labelled), "--out", str(out), "--jobs", "1", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["stopped_of_block"]["share"] == 1.0
    assert [json.loads(line)["action"] for line in out.read_text().splitlines()] == ["block", "allow"]
    assert "said" in run("eval", str(labelled), "--jobs", "1").stdout


@pytest.mark.models
def test_models_are_listed_and_verified(run: Run) -> None:
    verified = run("models", "verify", "--json")
    assert verified.exit_code == 0
    assert json.loads(verified.output)["ok"]
    listed = json.loads(run("models", "list", "--json").output)
    assert {"open-nsfw", "yunet", "sface", "text-heads"} <= {model["name"] for model in listed}
    assert all(model["licence"] and model["card"] for model in listed)


def test_missing_weights_are_named_with_the_command_that_mends_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARDRAIL_MODELS_DIR", str(tmp_path / "empty"))
    assert run("models", "verify").exit_code == 1
    done = run("check", "--prompt", "a red barn")
    assert "guardrail models pull" in str(getattr(done.exception, "advice", ""))


@pytest.mark.models
@pytest.mark.slow
def test_bench_upload_measures_uploads_and_edits(run: Run) -> None:
    done = run("bench", "upload", "--runs", "1", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.output)["rows"]
    assert {name.split(", ")[1] for name in rows} == {
        "input",
        "edit of an upload never seen",
        "edit of an upload seen before",
    }
    assert all(row["cpu_ms"] > 0 for row in rows.values())
