"""`guardrail demo`: the whole way on this machine, through real detectors, with a table of what came of it."""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
import numpy as np
import orjson
import yaml
from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table

from guardrail.cli.serve import keep_freed_memory
from guardrail.errors import ConfigurationError
from guardrail.guard import Guard
from guardrail.inference import ModelStore
from guardrail.records import FingerprintStore, PeopleStore
from guardrail.settings import Settings, load_settings, shipped
from guardrail.sidecar import create_app
from guardrail.signals import Picture
from guardrail.testing.builders import drawn_picture
from guardrail.testing.stub_generator import StubGenerator, run_in_thread
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import pdq
from guardrail.vision.templates import template

PERSON, LISTED = "demo-person", "demo-listed"
_LISTED_SEED = "b"
_READY_S = 60
_WIDTH = 130


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of the demo and the verdict it must get."""

    number: int
    show: str
    operation: str
    prompt: str
    expect: str
    picture: str = "drawn"
    upload: str = "drawn"
    n: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a sample."""

    sample: Sample
    verdict: str
    rule: str
    stage: str
    ms: float

    @property
    def right(self) -> bool:
        """Whether the sample got the verdict it should: released for allow, stopped for block."""
        return (self.verdict == "allow") == (self.sample.expect == "allow") and self.verdict != "error"


@click.command()
@click.option("--once", is_flag=True, help="Exit after the table; status 0 only if every sample came out right.")
@click.option("--port", default=8080, show_default=True, help="Port of the sidecar; 0 takes a free one.")
@click.option("--policy", default="default", show_default=True, help="A shipped policy or a policy file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else; implies --once.")
def command(once: bool, port: int, policy: str, as_json: bool) -> None:
    """Start the sidecar before a stub generator, send sample requests, print a table, then serve until Ctrl-C.

    Enrols one public-domain portrait and lists one drawn picture, in a data folder of its own that is emptied first.
    """
    keep_freed_memory()
    base = load_settings()
    folder = base.data_dir / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    settings = base.model_copy(update={"data_dir": folder, "policy": policy})
    samples = load_samples()
    with ExitStack() as stack:
        portraits = _portraits(settings)
        _enrol(settings, portraits)
        upstream = stack.enter_context(run_in_thread(StubGenerator(pictures=_pictures(samples, portraits))))
        server = settings.server.model_copy(update={"upstream": upstream})
        settings = settings.model_copy(update={"server": server})
        guard = stack.enter_context(Guard.from_policy(policy, settings=settings))
        sidecar = stack.enter_context(_serving(create_app(guard, settings), port))
        outcomes = asyncio.run(_send(sidecar, samples, portraits, guard))
        right = all(outcome.right for outcome in outcomes)
        if as_json:
            click.echo(orjson.dumps({"ok": right, "samples": [_row(outcome) for outcome in outcomes]}))
        else:
            _print(outcomes, sidecar, folder)
        if once or as_json:
            sys.exit(0 if right else 1)
        _wait(guard)


def load_samples() -> list[Sample]:
    """The shipped samples.

    Raises:
        ConfigurationError: the file is not as it should be.
    """
    path = shipped("policies") / "demo" / "samples.yaml"
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [Sample(number, **row) for number, row in enumerate(rows)]
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _serving(app: Any, port: int) -> Any:
    try:
        return run_in_thread(app, port)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on port {port}: {error}", advice="Choose another --port.") from error


def _portraits(settings: Settings) -> Mapping[str, bytes]:
    store = ModelStore(settings)
    return {
        "protected": store.file("sample-portraits", "astronaut.png").read_bytes(),
        "portrait": store.file("sample-portraits", "grace_hopper.jpg").read_bytes(),
    }


def _enrol(settings: Settings, portraits: Mapping[str, bytes]) -> None:
    vector = template(ModelStore(settings), decode(Picture(portraits["protected"]), settings.limits))
    people = PeopleStore(settings)
    people.enrol(np.stack([vector]), person_id=PERSON)
    people.close()
    listed = decode(Picture(drawn_picture(_LISTED_SEED)), settings.limits)
    store = FingerprintStore(settings)
    store.add(pdq(listed)[0], ref=LISTED)
    store.close()


def _pictures(samples: Sequence[Sample], portraits: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """What the stub returns by prompt: never the enrolled or listed file itself, always another picture."""
    mirrored = ImageOps.mirror(Image.open(io.BytesIO(drawn_picture(_LISTED_SEED))).convert("RGB"))
    astronaut = Image.open(io.BytesIO(portraits["protected"])).convert("RGB")
    width, height = astronaut.size
    cropped = astronaut.crop((int(width * 0.1), 0, int(width * 0.75), int(height * 0.7))).resize((640, 700))
    made = {
        "listed": _jpeg(mirrored.resize((300, 300))),
        "protected": _jpeg(ImageOps.autocontrast(cropped)),
        "portrait": portraits["portrait"],
    }
    return {sample.prompt: made[sample.picture] for sample in samples if sample.picture in made}


def _jpeg(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    return data.getvalue()


async def _send(base: str, samples: Sequence[Sample], portraits: Mapping[str, bytes], guard: Guard) -> list[Outcome]:
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(base, timeout=timeout, headers={"authorization": "Bearer demo"}) as client:
        await _ready(client)
        return [await _one(client, sample, portraits, guard) for sample in samples]


async def _ready(client: aiohttp.ClientSession) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        async with client.get("/readyz") as response:
            if response.status == 200:
                return
            detail = await response.text()
        await asyncio.sleep(0.2)
    raise ConfigurationError(f"the sidecar did not become ready within {_READY_S} s: {detail}")


async def _one(client: aiohttp.ClientSession, sample: Sample, portraits: Mapping[str, bytes], guard: Guard) -> Outcome:
    begun = time.perf_counter()
    async with _request(client, sample, portraits) as response:
        body = orjson.loads(await response.read())
    spent = (time.perf_counter() - begun) * 1000
    verdict = _verdict(response.status, body)
    decision = response.headers.get("x-guardrail-decision", "").split(",")[0]
    record = None
    if decision and guard.log is not None and verdict == "block":
        await asyncio.get_running_loop().run_in_executor(None, guard.log.flush)
        record = guard.log.get(decision)
    return Outcome(sample, verdict, (record.rule or "") if record else "", record.stage if record else "", spent)


def _request(client: aiohttp.ClientSession, sample: Sample, portraits: Mapping[str, bytes]) -> Any:
    if sample.operation == "moderate":
        return client.post("/v1/moderations", json={"input": sample.prompt})
    if sample.operation == "edit":
        form = aiohttp.FormData()
        upload = portraits.get(sample.upload) or drawn_picture("a house under a sky")
        form.add_field("image", upload, filename="upload", content_type="application/octet-stream")
        form.add_field("prompt", sample.prompt)
        return client.post("/v1/images/edits", data=form)
    return client.post("/v1/images/generations", json={"model": "stub", "prompt": sample.prompt, "n": sample.n})


def _verdict(status: int, body: Mapping[str, Any]) -> str:
    if status == 200 and "results" in body:
        return "block" if any(result["flagged"] for result in body["results"]) else "allow"
    if status == 200:
        return "allow" if body.get("data") else "error"
    return "block" if body.get("error", {}).get("code") == "moderation_blocked" else "error"


def _row(outcome: Outcome) -> dict[str, Any]:
    sample = outcome.sample
    return {
        "show": sample.show,
        "operation": sample.operation,
        "expect": sample.expect,
        "verdict": outcome.verdict,
        "stage": outcome.stage,
        "rule": outcome.rule,
        "ms": round(outcome.ms, 1),
        "right": outcome.right,
    }


def _print(outcomes: Sequence[Outcome], sidecar: str, folder: Path) -> None:
    table = Table("request", "operation", "verdict", "stage", "rule", "ms", "as it should")
    for outcome in outcomes:
        sample = outcome.sample
        mark = "yes" if outcome.right else f"NO, expected {sample.expect}"
        table.add_row(
            sample.show, sample.operation, outcome.verdict, outcome.stage, outcome.rule, f"{outcome.ms:.0f}", mark
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)
    console.print(f"Decisions, without content, are in {folder}.")
    console.print("Point an OpenAI client at the sidecar:")
    console.print(
        f'  OpenAI(base_url="{sidecar}/v1", api_key="demo").images.generate(model="stub", prompt="a red barn")'
    )


def _wait(guard: Guard) -> None:
    click.echo("Serving until Ctrl-C.")
    try:
        while guard.log is None or guard.log.healthy:
            time.sleep(1)
    except KeyboardInterrupt:
        click.echo("Stopped.")
