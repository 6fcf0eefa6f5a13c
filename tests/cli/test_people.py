from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from guardrail.cli.people import command
from guardrail.errors import InputError, PictureError, RecordError
from guardrail.inference import ModelStore
from guardrail.records import PeopleStore
from guardrail.settings import Settings, load_settings
from guardrail.testing import drawn_picture
from tests.records.parts import all_bytes, templates

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GUARDRAIL_MODELS_DIR", str(load_settings().models_dir))
    monkeypatch.setenv("GUARDRAIL_DATA_DIR", str(settings.data_dir))
    return lambda *arguments: CliRunner().invoke(command, [str(part) for part in arguments])


@pytest.fixture
def portraits(tmp_path: Path, models: ModelStore) -> tuple[Path, Path]:
    names = ("astronaut.png", "grace_hopper.jpg")
    for name in names:
        (tmp_path / name).write_bytes(models.file("sample-portraits", name).read_bytes())
    return tmp_path / names[0], tmp_path / names[1]


@pytest.mark.models
def test_a_person_is_enrolled_from_several_pictures_listed_and_erased(
    run: Run, settings: Settings, portraits: tuple[Path, Path], tmp_path: Path
) -> None:
    mirrored = tmp_path / "mirrored.png"
    Image.open(portraits[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    enrolled = run("enrol", portraits[0], mirrored, "--id", "case-7", "--label", "A label")
    assert (enrolled.exit_code, enrolled.output) == (0, "enrolled case-7\n")
    assert run("list").output == "case-7  3 template(s)  A label\n"
    (person,) = json.loads(run("list", "--json").output)
    assert (person["id"], person["label"], person["templates"]) == ("case-7", "A label", 3)
    stored = all_bytes(settings.data_dir)
    assert b"case-7" in stored
    assert b"A label" not in stored
    assert portraits[0].read_bytes()[1000:1032] not in stored
    assert run("erase", "case-7").output == "erased case-7\n"
    assert b"case-7" not in all_bytes(settings.data_dir)
    assert run("list").output == ""


@pytest.mark.models
def test_pictures_of_two_people_enrol_nobody(run: Run, settings: Settings, portraits: tuple[Path, Path]) -> None:
    refused = run("enrol", *portraits)
    assert isinstance(refused.exception, PictureError)
    assert refused.exception.reason == "different_people"
    assert run("list").output == ""


def test_what_is_stored_is_exported_into_a_file_of_its_owner_alone(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    with closing(PeopleStore(settings)) as store:
        store.enrol(templates(1, 2), person_id="p", label="A label")
        store.enrol(templates(2), person_id="q")
    out = tmp_path / "export.jsonl"
    assert run("export", "p", "--out", out).output.startswith("exported 1 to ")
    assert out.stat().st_mode & 0o777 == 0o600
    (line,) = map(json.loads, out.read_text().splitlines())
    assert (line["id"], line["label"]) == ("p", "A label")
    np.testing.assert_allclose(line["templates"], templates(1, 2), atol=1e-6)
    assert isinstance(run("export", "--out", out).exception, InputError)
    assert run("export", "--out", tmp_path / "all.jsonl").output.startswith("exported 2 to ")
    nobody = run("export", "gone", "--out", tmp_path / "none.jsonl")
    assert (nobody.exit_code, nobody.output) == (1, "nobody is enrolled as gone\n")
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.models
def test_a_picture_that_cannot_be_used_is_named_and_enrols_nobody(
    run: Run, settings: Settings, portraits: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = (Image.open(path).convert("RGB") for path in portraits)
    both = Image.new("RGB", (1024, 512))
    both.paste(first.resize((512, 512)), (0, 0))
    both.paste(second.resize((512, 512)), (512, 0))
    small = first.resize((48, 48))
    nobody = Image.open(io.BytesIO(drawn_picture("a")))
    for name, image, reason in (
        ("both", both, "several_faces"),
        ("small", small, ("poor_face", "no_face")),
        ("nobody", nobody, "no_face"),
    ):
        path = tmp_path / f"{name}.png"
        image.save(path)
        refused = run("enrol", portraits[0], path)
        assert isinstance(refused.exception, PictureError)
        assert refused.exception.reason in reason
        assert refused.exception.message.startswith(f"{name}.png: ")
        assert refused.output == ""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    assert isinstance(run("enrol", broken).exception, PictureError)
    store = PeopleStore(settings)
    assert store.list() == []
    store.close()


@pytest.mark.models
def test_an_id_that_looks_like_a_name_is_refused(run: Run, portraits: tuple[Path, Path]) -> None:
    refused = run("enrol", portraits[0], "--id", "A Name")
    assert isinstance(refused.exception, RecordError)
    assert "belong into the label" in refused.exception.advice


def test_json_and_exit_statuses_of_erasing(run: Run, settings: Settings) -> None:
    store = PeopleStore(settings)
    store.enrol(np.ones(128), person_id="p")
    store.close()
    assert [(done.exit_code, json.loads(done.output)) for done in (run("erase", "p", "--json") for _ in range(2))] == [
        (0, {"id": "p", "erased": True}),
        (1, {"id": "p", "erased": False}),
    ]
    assert run("erase", "p").output == "nobody is enrolled as p\n"
    assert json.loads(run("list", "--json").output) == []


def test_arguments_that_make_no_sense_are_usage_errors(run: Run) -> None:
    assert run("enrol").exit_code == 2
    assert run("enrol", "gone.png").exit_code == 2
    assert run("erase").exit_code == 2
