"""Promise 4: after the whole demo, no word of a prompt and no pixel is in the data folder, the logs or the metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.cli.demo import load_samples
from guardrail.inference import ModelStore
from guardrail.settings import load_settings, shipped
from guardrail.taxonomy import SIGNALS
from guardrail.testing import drawn_picture

pytestmark = [pytest.mark.models, pytest.mark.slow, pytest.mark.timeout(300)]


def _rare_words() -> set[bytes]:
    """Words of the samples that our own names, messages and manifests do not hold."""
    ours = " ".join(SIGNALS)
    for folder in (shipped("policies"), shipped("models")):
        ours += " ".join(path.read_text(encoding="utf-8").lower() for path in folder.glob("*.yaml"))
    words = {word.strip(".,'\"").lower() for sample in load_samples() for word in sample.prompt.split()}
    rare = {word.encode() for word in words if len(word) >= 6 and word.isascii() and word not in ours}
    assert len(rare) >= 20
    return rare


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[bytes]]:
    """The demo, once, in a process of its own and a data folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "GUARDRAIL_DATA_DIR": str(folder), "TMPDIR": str(folder)}
    environment["GUARDRAIL_MODELS_DIR"] = str(load_settings().models_dir)
    command = [sys.executable, "-m", "guardrail", "demo", "--port", "0", "--json"]
    return folder, subprocess.run(command, capture_output=True, env=environment, timeout=250, check=False)


def test_every_sample_gets_the_verdict_it_should(demo: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    _, done = demo
    report = json.loads(done.stdout)
    wrong = [sample for sample in report["samples"] if not sample["right"]]
    assert not wrong
    assert done.returncode == 0
    stopped = {sample["stage"] for sample in report["samples"] if sample["verdict"] == "block"}
    assert {"prompt", "output"} <= stopped
    assert len(report["samples"]) >= 12


def test_no_word_of_a_prompt_is_on_disk_or_in_a_log(demo: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    folder, done = demo
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name.endswith(".sqlite3") for path in files)
    kept = {str(path): path.read_bytes().lower() for path in files} | {"stderr": done.stderr.lower()}
    for word in _rare_words():
        for where, data in kept.items():
            assert word not in data, f"a word of a prompt is in {where}"


def test_no_pixel_is_on_disk(demo: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    folder, _ = demo
    store = ModelStore(load_settings())
    pictures = [store.file("sample-portraits", "astronaut.png"), store.file("sample-portraits", "grace_hopper.jpg")]
    known = [path.read_bytes() for path in pictures] + [drawn_picture("a house under a sky")]
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        assert not data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF"))
        for magic in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"JFIF"):
            assert magic not in data
        for picture in known:
            middle = picture[len(picture) // 2 : len(picture) // 2 + 32]
            assert middle not in data
