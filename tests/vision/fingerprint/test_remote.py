"""Against a real HTTP server that answers in the shapes of hasher-matcher-actioner."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from guardrail.detector import DetectorContext
from guardrail.errors import DetectionError
from guardrail.settings import Settings
from guardrail.signals import Detection, FingerprintList, RemoteBank
from guardrail.testing import drawn_picture, picture_subject
from guardrail.vision.fingerprint import FingerprintDetector, pdq, remote
from tests.vision.tiny import Listed, TinyModels

PICTURE = drawn_picture("b", size=(700, 500))
FLAT = drawn_picture("listed")


class Service:
    """A lookup service whose answers a test chooses; it remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.tokens: list[str | None] = []
        self.answer: Callable[[str], tuple[int, bytes]] = lambda signal: (200, b"[]")
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                where = urlsplit(self.path)
                query = parse_qs(where.query)
                service.asked.append(query)
                service.tokens.append(self.headers["authorization"])
                status, body = (404, b"{}")
                if where.path == "/hma/m/lookup":
                    status, body = service.answer(query["signal"][0])
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hma/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def always(self, answer: object) -> None:
        self.answer = lambda signal: (200, json.dumps(answer).encode())


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.server.shutdown()
    found.server.server_close()


def look(bank: RemoteBank, data: bytes = PICTURE, times: int = 1) -> Detection:
    nothing = FingerprintList(0, (), np.zeros((0, 32), np.uint8), np.zeros(0, np.int64), remotes=(bank,))
    detector = FingerprintDetector(DetectorContext(Settings(), TinyModels(), Listed(fingerprints=nothing)))
    for _ in range(times - 1):
        detector.detect(picture_subject(data))
    return detector.detect(picture_subject(data))


@pytest.mark.parametrize(
    ("answer", "refs", "distance"),
    [
        (["TEST_BANK"], ["partner/TEST_BANK"], "0"),
        ({"TEST_BANK": [{"bank_content_id": 7, "distance": "12"}]}, ["partner/TEST_BANK"], "12"),
        ({"pdq": {"A": [{"bank_content_id": 7, "distance": "4"}], "B": []}}, ["partner/A"], "4"),
        ({"pdq": ["A", "B"]}, ["partner/A", "partner/B"], "0"),
        ({"matches": [1, 2]}, ["partner/match"], "0"),
        ({"matches": [{"content_id": 3, "distance": "9"}]}, ["partner/match"], "9"),
    ],
)
def test_every_shape_of_an_answer_is_a_match(service: Service, answer: object, refs: list[str], distance: str) -> None:
    plain, _ = pdq(picture_subject(PICTURE).picture)  # type: ignore[arg-type]
    service.answer = lambda signal: (200, json.dumps(answer if signal == plain.tobytes().hex() else []).encode())
    found = look(RemoteBank("partner", service.url, token="a-token")).signals[0]
    assert found.score == 1.0
    assert sorted(item.ref or "" for item in found.evidence) == refs
    assert found.evidence[0].detail == {"distance": distance, "bank": "partner"}
    assert service.tokens[0] == "Bearer a-token"
    assert {tuple(query["signal_type"]) for query in service.asked} == {("pdq",)}


@pytest.mark.parametrize("answer", [[], {}, {"pdq": []}, {"pdq": {}}, {"matches": []}, {"A": []}])
def test_every_shape_of_nothing_is_no_match(service: Service, answer: object) -> None:
    service.always(answer)
    found = look(RemoteBank("partner", service.url))
    assert not found.signals
    assert "vision.fingerprint:bank=partner" in found.coverage.inspected


def test_a_mirrored_picture_is_asked_about_as_it_was(service: Service) -> None:
    look(RemoteBank("partner", service.url))
    asked = {query["signal"][0] for query in service.asked}
    assert len(asked) == len(service.asked) == 2
    assert all(len(signal) == 64 for signal in asked)


def test_answers_are_kept_for_a_minute(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    look(RemoteBank("partner", service.url), times=3)
    assert len(service.asked) == 2
    monkeypatch.setattr(remote, "KEPT_S", 0.0)
    look(RemoteBank("partner", service.url), times=3)
    assert len(service.asked) == 2 + 6


@pytest.mark.parametrize(
    "answer",
    [
        (503, b'{"message": "index not yet ready"}'),
        (400, b'{"message": "invalid signal type"}'),
        (302, b""),
        (200, b"<html>"),
        (200, b'"yes"'),
        (200, b'{"A": {"B": {}}}'),
        (200, b"[" + b'"A",' * 400_000 + b'"A"]'),
    ],
)
def test_no_answer_closes_when_the_bank_is_required_and_is_told_when_not(
    service: Service, answer: tuple[int, bytes]
) -> None:
    service.answer = lambda signal: answer
    with pytest.raises(DetectionError, match="bank partner does not answer"):
        look(RemoteBank("partner", service.url))
    found = look(RemoteBank("partner", service.url, required=False))
    assert not found.signals
    assert [(item.what, item.why) for item in found.coverage.skipped] == [
        ("vision.fingerprint:partner", "the bank does not answer")
    ]


def test_a_late_service_is_not_waited_for_and_then_left_alone(service: Service) -> None:
    def late(signal: str) -> tuple[int, bytes]:
        time.sleep(0.6)
        return 200, b"[]"

    service.answer = late
    begun = time.monotonic()
    look(RemoteBank("partner", service.url, timeout_s=0.1, required=False), times=4)
    assert len(service.asked) == 1
    assert time.monotonic() - begun < 5


def test_a_service_that_is_not_there_does_not_answer() -> None:
    with pytest.raises(DetectionError, match="does not answer"):
        look(RemoteBank("partner", "http://127.0.0.1:1"))


def test_a_picture_with_few_features_is_not_asked_about(service: Service) -> None:
    look(RemoteBank("partner", service.url), FLAT)
    assert service.asked == []


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(RemoteBank("partner", "http://host", token="secret"))
