"""What the sidecar's tests share: third-party detectors that see words and colours, and a running pair."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from guardrail.detector import Detector, Example
from guardrail.errors import DetectionError
from guardrail.guard import Guard
from guardrail.policy import load_policy
from guardrail.settings import Deadlines, Limits, Server, Settings
from guardrail.sidecar import create_app
from guardrail.signals import Coverage, Detection, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.testing import picture_subject, prompt_subject
from guardrail.testing.stub_generator import StubGenerator, run_in_thread


def flat(colour: str, *, size: int = 64, format: str = "PNG") -> bytes:
    """Encoded bytes of a picture of one colour."""
    data = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(data, format)
    return data.getvalue()


GREEN, RED, BLUE, BLACK = (flat(colour) for colour in ("green", "red", "blue", "black"))

_POLICY = """
schema: guardrail/v1
name: test
version: "1"
on_error: block
on_partial: PARTIAL
rules:
  - {id: explicit-text, stage: prompt, when: sexual.explicit >= 0.5, then: block, message: text}
  - {id: explicit-picture, stage: [input, output], when: sexual.explicit >= 0.5, then: block, message: picture}
"""


class WordDetector:
    """Raises a signal for one mild word."""

    name = "test.words"
    stages = frozenset({Stage.PROMPT})
    emits = frozenset({"sexual.explicit"})
    cost_ms = 0.01
    models: tuple[str, ...] = ()

    def detect(self, subject: Subject) -> Detection:
        assert subject.prompt is not None
        text = subject.prompt.text
        if "explode" in text:
            raise DetectionError("told to")
        found = [Signal("sexual.explicit", 1.0, self.name)] if "naked" in text else []
        return Detection(tuple(found), Coverage((self.name,)))

    def examples(self) -> Sequence[Example]:
        return (
            Example(prompt_subject("a naked figure"), at_least={"sexual.explicit": 0.9}),
            Example(prompt_subject("a lighthouse"), below={"sexual.explicit": 0.1}),
        )


class ColourDetector:
    """A red picture raises a signal, a blue one fails, a black one waits until `patience` is set."""

    name = "test.colours"
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"sexual.explicit"})
    cost_ms = 5.0
    models: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.patience = threading.Event()

    def detect(self, subject: Subject) -> Detection:
        assert subject.picture is not None
        colours = [tuple(int(part) for part in frame.rgb[0, 0]) for frame in subject.picture.frames]
        if (0, 0, 255) in colours:
            raise DetectionError("told to")
        if (0, 0, 0) in colours:
            self.patience.wait(10)
        found = [Signal("sexual.explicit", 1.0, self.name)] if (255, 0, 0) in colours else []
        return Detection(tuple(found), Coverage((self.name,)))

    def examples(self) -> Sequence[Example]:
        return (
            Example(picture_subject(RED), at_least={"sexual.explicit": 0.9}),
            Example(picture_subject(GREEN), below={"sexual.explicit": 0.1}),
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """A sidecar with a guard of its own in front of a stub generator, both served on loopback."""

    url: str
    stub: StubGenerator
    guard: Guard


def make_guard(
    folder: Path,
    *,
    on_partial: str = "drop",
    detectors: Sequence[Detector] | None = None,
    server: Server | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
    rules: str = "",
) -> Guard:
    """A real guard on a small policy with quick detectors."""
    settings = Settings(
        data_dir=folder / "data",
        models_dir=folder / "models",
        limits=limits or Limits(),
        deadlines=deadlines or Deadlines(),
        server=server or Server(upstream="http://127.0.0.1:9"),
    )
    policy = folder / "policy.yaml"
    policy.write_text(_POLICY.replace("PARTIAL", on_partial) + rules, encoding="utf-8")
    found = (WordDetector(), ColourDetector()) if detectors is None else detectors
    return Guard.from_policy(load_policy(policy), settings=settings, detectors=found)


@contextlib.contextmanager
def running(
    folder: Path,
    stub: StubGenerator | None = None,
    *,
    on_partial: str = "drop",
    detectors: Sequence[Detector] | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
    server: Server | None = None,
    rules: str = "",
) -> Iterator[Pair]:
    """Serve a stub and a sidecar in front of it."""
    stub = stub or StubGenerator(size=(64, 64))
    with run_in_thread(stub) as upstream:
        base = (server or Server()).model_copy(update={"upstream": upstream})
        guard = make_guard(
            folder,
            on_partial=on_partial,
            detectors=detectors,
            server=base,
            limits=limits,
            deadlines=deadlines,
            rules=rules,
        )
        with guard, run_in_thread(create_app(guard)) as url:
            _wait_until_ready(url)
            yield Pair(url, stub, guard)


def _wait_until_ready(url: str) -> None:
    for _ in range(200):
        if fetch(f"{url}/readyz")[0] == 200:
            return
        threading.Event().wait(0.01)
    raise AssertionError(fetch(f"{url}/readyz")[2])


def fetch(
    url: str, body: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One plain HTTP exchange: status, headers in lower case, body."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()}, method=method)
    try:
        with urlopen(request, timeout=20) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read()
    except HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
