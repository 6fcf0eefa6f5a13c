from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from guardrail.cli.takedown import command
from guardrail.detector import DetectorContext
from guardrail.errors import InputError, PictureError, RecordError
from guardrail.records import FingerprintStore, LocalRegistry
from guardrail.settings import Settings
from guardrail.signals import Picture
from guardrail.testing import drawn_picture, picture_subject
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import FingerprintDetector, pdq
from tests.records.parts import all_bytes, wait_until
from tests.vision.files import encoded
from tests.vision.tiny import TinyModels

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


def test_a_listed_picture_is_found_cut_and_captioned(run: Run, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(drawn_picture("b", size=(480, 360)))
    (entry,) = json.loads(run("add", path, "--bank", "own-reports", "--json").output)["ids"]
    (listed,) = json.loads(run("list", "--json").output)
    assert (listed["distance"], listed["bank"]) == (40, "own-reports")
    assert listed["variants"] > 90
    picture = Image.open(path).convert("RGB")
    captioned = Image.new("RGB", (480, 420), "white")
    captioned.paste(picture, (0, 60))
    context = DetectorContext(settings, TinyModels(), LocalRegistry(settings))
    detector = FingerprintDetector(context)
    for edited in (picture.crop((20, 10, 460, 340)), captioned, picture.rotate(4)):
        found = detector.detect(picture_subject(encoded(edited, "JPEG"))).signals[0]
        assert (found.score, found.evidence[0].ref) == (1.0, entry)
        assert found.evidence[0].detail["bank"] == "own-reports"
    context.registry.close()  # type: ignore[attr-defined]


def test_lists_go_out_and_come_in_as_csv(run: Run, tmp_path: Path) -> None:
    run("add", "--hash", HASH, "--distance", 12, "--ref", "case-7", "--bank", "own-reports")
    run("add", "--hash", "cd" * 32)
    out = tmp_path / "list.csv"
    assert run("export", out, "--bank", "own-reports").exit_code == 0
    assert out.read_text(encoding="utf-8").splitlines()[0].startswith("signal_type,signal,id,bank,distance")
    assert len(run("export").output.splitlines()) == 3
    done = run("import", out, "--bank", "partner", "--days", 3, "--json")
    assert json.loads(done.output) == {
        "bank": "partner",
        "listed": 1,
        "left_out": {"other_types": 0, "poor": 0, "expired": 0},
    }
    (entry,) = json.loads(run("list", "--bank", "partner", "--json").output)
    assert (entry["hash"], entry["distance"], entry["ref"]) == (HASH, 12, "case-7")
    assert abs(entry["expires_at"] - time.time() - 3 * 86_400) < 60
    assert "in partner" in run("list", "--bank", "partner").output


def test_a_broken_row_is_named_and_lists_nothing(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "list.csv"
    for text, why in (
        (f"hash\n{HASH}\nab\n", "row 3: "),
        ("", "empty"),
        ("hash\n", "empty"),
        (b"\xff\xfe\x00", "row 1"),
    ):
        broken.write_bytes(text if isinstance(text, bytes) else text.encode())
        refused = run("import", broken)
        assert isinstance(refused.exception, InputError)
        assert why in refused.exception.message
    assert json.loads(run("list", "--json").output) == []
    md5_only = tmp_path / "md5.csv"
    md5_only.write_text("type,hash\nmd5,abc\n", encoding="utf-8")
    assert "1 of other signal types" in run("import", md5_only).output


def test_banks_are_made_changed_and_removed(run: Run) -> None:
    assert run("bank", "set", "partner", "--distance", 20, "--flood", 50, "--rollout", 5).exit_code == 0
    assert json.loads(run("bank", "set", "partner", "--rollout", 100, "--json").output) == {
        "name": "partner",
        "distance": 20,
        "days": None,
        "rollout": 100,
        "flood": 50,
        "window_s": 3600,
        "url": None,
        "timeout_s": 2.0,
        "required": True,
        "token_env": None,
    }
    run("add", "--hash", HASH, "--bank", "partner")
    (listed,) = json.loads(run("list", "--json").output)
    assert listed["distance"] == 20
    run("bank", "set", "elsewhere", "--url", "http://127.0.0.1:9", "--optional")
    lines = run("bank", "list").output.splitlines()
    assert lines == [
        "takedowns",
        "elsewhere  at http://127.0.0.1:9  optional",
        "partner  within 20  holds back from 50 pictures in 3600 s",
    ]
    assert [bank["name"] for bank in json.loads(run("bank", "list", "--json").output)] == [
        "takedowns",
        "elsewhere",
        "partner",
    ]
    assert run("bank", "remove", "partner").output == "removed partner with 1 entries\n"
    assert run("bank", "remove", "partner", "--json").exit_code == 1
    assert isinstance(run("bank", "set", "A Bank").exception, RecordError)


def test_an_entry_that_was_held_back_acts_again(run: Run, settings: Settings) -> None:
    run("bank", "set", "takedowns", "--flood", 1)
    (entry,) = json.loads(run("add", "--hash", HASH, "--json").output)["ids"]
    store = FingerprintStore(settings)
    store.note(entry, np.frombuffer(bytes.fromhex(HASH), np.uint8))
    store.close()
    assert "held back" in run("list").output
    assert run("release", entry).output == f"{entry} acts again\n"
    assert run("release", entry, "--json").exit_code == 1
