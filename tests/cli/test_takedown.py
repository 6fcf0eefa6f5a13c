from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from guardrail.cli.takedown import command
from guardrail.errors import InputError, PictureError, RecordError
from guardrail.records import LocalRegistry
from guardrail.settings import Settings
from guardrail.signals import Picture
from guardrail.testing import drawn_picture
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import pdq
from tests.records.parts import all_bytes, wait_until

Run = Callable[..., Result]
HASH = "ab" * 32


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GUARDRAIL_DATA_DIR", str(settings.data_dir))
    return lambda *arguments: CliRunner().invoke(command, [str(part) for part in arguments])


def test_hashes_are_listed_with_their_distance_reference_and_end(run: Run) -> None:
    added = json.loads(run("add", "--hash", HASH, "--hash", "cd" * 32, "--distance", 12, "--json").output)["ids"]
    (last,) = json.loads(run("add", "--hash", HASH.upper(), "--ref", "case-7", "--days", 2, "--json").output)["ids"]
    entries = json.loads(run("list", "--json").output)
    assert [(entry["id"], entry["hash"], entry["distance"]) for entry in entries] == [
        (added[0], HASH, 12),
        (added[1], "cd" * 32, 12),
        (last, HASH, 31),
    ]
    assert entries[2]["ref"] == "case-7"
    assert abs(entries[2]["expires_at"] - time.time() - 2 * 86_400) < 60
    lines = run("list").output.splitlines()
    assert lines[0] == f"{added[0]}  {HASH}  within 12"
    assert "case-7  until 2" in lines[2]


def test_a_picture_is_listed_by_its_fingerprint_alone(run: Run, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(drawn_picture("b"))
    hash, _ = pdq(decode(Picture(path.read_bytes()), settings.limits))
    listed = run("add", path).output
    assert listed.startswith("listed fp-")
    assert hash.tobytes().hex() in run("list").output
    stored = all_bytes(settings.data_dir)
    assert path.read_bytes()[200:232] not in stored
    assert b"picture.png" not in stored


def test_a_running_process_acts_on_the_list_within_two_seconds(run: Run, settings: Settings) -> None:
    registry = LocalRegistry(settings)
    assert registry.fingerprints().ids == ()
    (listed,) = json.loads(run("add", "--hash", HASH, "--json").output)["ids"]
    wait_until(lambda: registry.fingerprints().ids == (listed,), 2)
    assert run("remove", listed).output == f"removed {listed}\n"
    wait_until(lambda: registry.fingerprints().ids == (), 2)
    registry.close()


@pytest.mark.parametrize("wrong", ["zz", "", "ab" * 31, "ab" * 33, "ä" * 64])
def test_one_wrong_hash_lists_nothing(run: Run, wrong: str) -> None:
    refused = run("add", "--hash", HASH, "--hash", wrong)
    assert isinstance(refused.exception, InputError)
    assert "64 hex digits" in refused.exception.message
    assert json.loads(run("list", "--json").output) == []


def test_one_picture_that_cannot_be_used_is_named_and_lists_nothing(run: Run, tmp_path: Path) -> None:
    flat, broken = tmp_path / "flat.png", tmp_path / "broken.png"
    Image.new("RGB", (64, 64), "white").save(flat)
    broken.write_bytes(b"\x89PNG nothing")
    for path in (flat, broken):
        refused = run("add", "--hash", HASH, path)
        assert isinstance(refused.exception, PictureError)
        assert refused.exception.message.startswith(f"{path.name}: ")
    assert json.loads(run("list", "--json").output) == []


def test_a_reference_that_looks_like_a_name_is_refused(run: Run) -> None:
    assert isinstance(run("add", "--hash", HASH, "--ref", "A Name").exception, RecordError)


def test_removing_what_is_not_listed_has_status_1(run: Run) -> None:
    done = run("remove", "fp-gone", "--json")
    assert (done.exit_code, json.loads(done.output)) == (1, {"id": "fp-gone", "removed": False})
    assert run("remove", "fp-gone").output == "nothing is listed as fp-gone\n"


@pytest.mark.parametrize(
    "arguments", [(), ("gone.png",), ("--hash", HASH, "--distance", "65"), ("--hash", HASH, "--days", "0")]
)
def test_arguments_that_make_no_sense_are_usage_errors(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("add", *arguments).exit_code == 2
