from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from guardrail.testing.stub_generator import StubGenerator, run_in_thread
from tests.sidecar.parts import fetch

_BODY = orjson.dumps({"prompt": "a lighthouse on a cliff at dusk", "user": "somebody"})


def _serve(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [Path(sys.executable).with_name("guardrail"), "serve", *arguments],
        env={**os.environ, "GUARDRAIL_DATA_DIR": str(folder / "data"), **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with run_in_thread(StubGenerator(size=(64, 64))) as url:
        yield url


@pytest.mark.models
@pytest.mark.slow
def test_serve_answers_logs_one_line_and_stops(tmp_path: Path, upstream: str) -> None:
    process = _serve(tmp_path, "--upstream", upstream, "--port", "0", "--policy", "default")
    assert process.stderr is not None
    try:
        hello = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", hello)
        assert found is not None, hello
        url = found.group()
        for _ in range(600):
            try:
                if fetch(f"{url}/readyz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        status, headers, _ = fetch(f"{url}/v1/images/generations", _BODY, content_type="application/json")
        assert status == 200
        line = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
    entry = json.loads(line)
    assert entry["decision"] == headers["x-guardrail-decision"]
    assert (entry["route"], entry["status"]) == ("/v1/images/generations", 200)
    assert "lighthouse" not in line + rest
    assert "somebody" not in line + rest


def _fails(folder: Path, *arguments: str, **environment: str) -> str:
    process = _serve(folder, *arguments, **environment)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 2, said
    assert "Traceback" not in said
    return said


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    said = _fails(tmp_path, "--upstream", "http://127.0.0.1:9", GUARDRAIL_MODELS_DIR=str(tmp_path / "empty"))
    assert "guardrail models pull" in said


def test_a_bad_policy_says_where(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("schema: guardrail/v1\nname: bad\nversion: '1'\nrules: 5\n", encoding="utf-8")
    said = _fails(tmp_path, "--upstream", "http://127.0.0.1:9", "--policy", str(bad))
    assert "bad.yaml" in said
    assert "what to do" in said


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("server: {max_in_flight: 0}\n", encoding="utf-8")
    assert "server.max_in_flight" in _fails(tmp_path, "--config", str(config))


def test_a_missing_upstream_is_named(tmp_path: Path) -> None:
    assert "--upstream" in _fails(tmp_path)
    assert "http://127.0.0.1:9000" in _fails(tmp_path, "--upstream", "not a URL")


@pytest.mark.models
def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "cannot listen" in _fails(tmp_path, "--upstream", "http://127.0.0.1:9", "--port", port)
