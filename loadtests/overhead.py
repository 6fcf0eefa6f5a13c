"""What the sidecar itself adds to a request, in CPU and in latency, against the stub generator alone.

    python loadtests/overhead.py

Runs a guard without detectors, so that what is left is HTTP both ways, parsing, decoding the picture, digests, policy
and the gate. The guard's own part (decoding, digests, policy) is measured apart on the same bytes, in a process of its
own, and taken off, which leaves the sidecar. Requests go one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import io
import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from guardrail.cli.serve import keep_freed_memory
from guardrail.guard import Guard
from guardrail.policy import load_policy
from guardrail.settings import Server, Settings
from guardrail.sidecar import create_app
from guardrail.signals import GenerationRequest, Prompt
from guardrail.testing import drawn_picture
from guardrail.testing.stub_generator import StubGenerator, run_in_thread

_PROMPT = "a quiet harbour at dawn with wooden boats, soft mist over the water, a lighthouse far away, oil painting"
_POLICY = 'schema: guardrail/v1\nname: bare\nversion: "1"\nrules: []\n'


def main() -> int:
    """Print one row for each picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print(f"{datetime.now(UTC).date()}, {_machine()}, Python {platform.python_version()}, {runs} requests each, ms")
    print("answer                    bytes  stub p50  through p50     CPU  guard CPU  sidecar CPU")
    pictures = _pictures()
    with tempfile.TemporaryDirectory() as folder:
        stub = _Child(_serve_stub, pictures)
        sidecar = _Child(_serve_sidecar, stub.url, folder)
        for label, picture in pictures.items():
            alone = _timed(stub.url, label, picture, runs)
            _timed(sidecar.url, label, picture, max(10, runs // 10))
            before = sidecar.ask("cpu")
            through = _timed(sidecar.url, label, picture, runs)
            total = (sidecar.ask("cpu") - before) / runs
            guard = _Child(_measure_guard, folder, picture, runs).ask("result") / runs
            print(
                f"{label:<22}{len(picture):>9}{alone:>10.2f}{through:>13.2f}"
                f"{total:>8.2f}{guard:>11.2f}{total - guard:>13.2f}"
            )
    return 0


def _pictures() -> dict[str, bytes]:
    """Encoded pictures by label; the noisy one is as large as a photograph."""
    smooth = Image.open(io.BytesIO(drawn_picture("overhead", size=(1024, 1024))))
    grain = np.random.default_rng(7).normal(0, 6, (1024, 1024, 3))
    noisy = Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8))
    found = {"64x64 PNG": drawn_picture("overhead", size=(64, 64))}
    for label, kind in (("1024x1024 JPEG", "JPEG"), ("1024x1024 PNG", "PNG")):
        data = io.BytesIO()
        noisy.save(data, kind, quality=90)
        found[label] = data.getvalue()
    return found


class _Child:
    """A process that answers questions over a pipe; its first word is a URL or nothing."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, far = spawn.Pipe()
        spawn.Process(target=target, args=(far, *arguments), daemon=True).start()
        far.close()
        self.url: str = self._pipe.recv()

    def ask(self, word: str) -> float:
        """A number of milliseconds."""
        self._pipe.send(word)
        return float(self._pipe.recv())


def _serve_stub(pipe: Connection, pictures: Mapping[str, bytes]) -> None:
    with run_in_thread(StubGenerator(pictures=pictures)) as url:
        pipe.send(url)
        pipe.recv()


def _serve_sidecar(pipe: Connection, upstream: str, folder: str) -> None:
    keep_freed_memory()
    with _guard(folder, upstream) as guard, run_in_thread(create_app(guard)) as url:
        while not _ready(url):
            time.sleep(0.01)
        pipe.send(url)
        while pipe.recv() == "cpu":
            pipe.send(time.process_time() * 1000)


def _measure_guard(pipe: Connection, folder: str, picture: bytes, runs: int) -> None:
    """CPU milliseconds of the checks alone."""
    keep_freed_memory()
    request = GenerationRequest((Prompt(_PROMPT),))

    async def checks(guard: Guard, count: int) -> float:
        begun = time.process_time()
        for _ in range(count):
            prior = [await guard.check_prompt(request)]
            if not all(item.released for item in await guard.check_outputs(request, [picture], prior)):
                sys.exit("the guard without detectors does not release")
        return time.process_time() - begun

    async def measured(guard: Guard) -> float:
        await checks(guard, 10)
        return await checks(guard, runs)

    pipe.send("")
    pipe.recv()
    with _guard(folder, "http://127.0.0.1:9") as guard:
        pipe.send(asyncio.run(measured(guard)) * 1000)


def _guard(folder: str, upstream: str) -> Guard:
    policy = Path(folder) / "bare.yaml"
    policy.write_text(_POLICY, encoding="utf-8")
    settings = Settings(data_dir=Path(folder) / "data", record=False, server=Server(upstream=upstream))
    return Guard.from_policy(load_policy(policy), settings=settings, detectors=[])


def _timed(url: str, label: str, picture: bytes, runs: int) -> float:
    """Median milliseconds of a request whose answer is `picture`, bit for bit."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    body = json.dumps({"prompt": f"{_PROMPT}, {label}"}).encode()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        connection.request("POST", "/v1/images/generations", body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        times.append((time.perf_counter() - begun) * 1000)
        if response.status != 200:
            sys.exit(f"status {response.status}: {answer[:300]!r}")
    connection.close()
    if base64.b64decode(json.loads(answer)["data"][0]["b64_json"]) != picture:
        sys.exit("the picture did not come back bit for bit")
    return statistics.median(times)


def _ready(url: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status == 200


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
