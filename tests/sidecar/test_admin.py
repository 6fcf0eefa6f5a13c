from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from pydantic import SecretStr

from guardrail.errors import RecordError
from guardrail.settings import Server
from guardrail.sidecar import names
from tests.sidecar.parts import Pair, fetch, running

_TOKEN = "a long admin token"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("admin"), server=Server(admin_token=SecretStr(_TOKEN))) as found:
        yield found


def _get(pair: Pair, path: str, token: str | None = _TOKEN) -> tuple[int, bytes]:
    if token is None:
        status, _, body = fetch(pair.url + path)
    else:
        status, _, body = fetch(pair.url + path, authorization=f"Bearer {token}")
    return status, body


def test_health_readiness_and_version_are_open(pair: Pair) -> None:
    assert _get(pair, "/healthz", None) == (200, b'{"status":"alive"}')
    status, body = _get(pair, "/readyz", None)
    report = orjson.loads(body)
    assert (status, report["ready"]) == (200, True)
    assert {"floor", "examples:test.words", "examples:test.colours"} <= {item["name"] for item in report["canaries"]}
    assert orjson.loads(_get(pair, "/version", None)[1])["policy"]["name"] == pair.guard.policy.ref.name


def test_metrics_count_and_hold_no_content(pair: Pair) -> None:
    url = pair.url + "/v1/images/generations"
    fetch(url, orjson.dumps({"prompt": "a lighthouse", "user": "somebody"}), content_type="application/json")
    fetch(url, orjson.dumps({"prompt": "a naked figure"}), content_type="application/json")
    fetch(pair.url + "/v1/made-up-path")
    status, body = _get(pair, "/metrics", None)
    text = body.decode()
    assert status == 200
    assert 'guardrail_requests_total{route="/v1/images/generations",status="200"} 1.0' in text
    assert 'guardrail_requests_total{route="/v1/images/generations",status="400"} 1.0' in text
    assert 'guardrail_requests_total{route="closed",status="404"} 1.0' in text
    assert 'guardrail_verdicts_total{action="block",stage="prompt"} 1.0' in text
    assert 'guardrail_pictures_total{fate="released"} 1.0' in text
    assert "guardrail_ready 1.0" in text
    for word in ("lighthouse", "naked", "somebody", "made-up"):
        assert word not in text


@pytest.mark.parametrize("path", ["/admin/policy", "/admin/models", "/admin/decisions/01J"])
@pytest.mark.parametrize("token", [None, "", "wrong", _TOKEN[:-1], _TOKEN + "x"])
def test_the_admin_api_needs_its_token(pair: Pair, path: str, token: str | None) -> None:
    status, body = _get(pair, path, token)
    assert status == 401
    assert orjson.loads(body)["error"]["code"] == "admin_token"


def test_policy_models_and_decisions(pair: Pair) -> None:
    policy = orjson.loads(_get(pair, "/admin/policy")[1])
    assert policy["digest"] == pair.guard.policy.ref.digest
    assert policy["on_partial"] == "drop"
    detectors = orjson.loads(_get(pair, "/admin/models")[1])["detectors"]
    assert {item["name"] for item in detectors} == {"test.words", "test.colours"}
    assert detectors[0]["models"] == {}
    _, headers, _ = fetch(
        pair.url + "/v1/images/generations",
        orjson.dumps({"prompt": "a naked figure"}),
        content_type="application/json",
    )
    status, body = _get(pair, "/admin/decisions/" + headers["x-guardrail-decision"])
    assert status == 200
    assert orjson.loads(body)["action"] == "block"
    assert b"naked" not in body
    assert _get(pair, "/admin/decisions/01ZZZZZZZZZZZZZZZZZZZZZZZZ")[0] == 404


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin/other", "/metrics/more"])
def test_other_routes_are_closed(pair: Pair, path: str) -> None:
    status, body = _get(pair, path)
    assert (status, orjson.loads(body)["error"]["code"]) == (404, "unknown_route")


def test_without_a_token_the_admin_api_is_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("off")) as own:
        assert _get(own, "/admin/policy", None)[0] == 404
        assert _get(own, "/admin/policy", "")[0] == 404
        assert fetch(own.url + "/healthz", b"")[0] == 405


def test_decisions_that_cannot_be_read_are_a_typed_error(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_: float) -> None:
        raise RecordError("no space left")

    assert pair.guard.log is not None
    monkeypatch.setattr(pair.guard.log, "flush", full_disk)
    status, body = _get(pair, "/admin/decisions/" + "0" * 26)
    assert (status, orjson.loads(body)["error"]["code"]) == (503, "record")


def _send(pair: Pair, path: str, body: bytes | None, method: str, **headers: str) -> tuple[int, dict[str, object]]:
    status, _, reply = fetch(pair.url + path, body, method, authorization=f"Bearer {_TOKEN}", **headers)
    return status, orjson.loads(reply)


def test_names_are_listed_as_json_and_csv_and_removed(pair: Pair) -> None:
    entry = {"name": "Ottoline Quarrywick", "id": "a/1", "protected": True}
    posted = _send(pair, "/admin/names", orjson.dumps([entry]), "POST", content_type="application/json")
    assert posted == (200, {"ids": ["a/1"]})
    body = b"name,id\r\nPerrin Quarrywick,b\r\n"
    assert _send(pair, "/admin/names", body, "POST", content_type="text/csv; charset=utf-8") == (200, {"ids": ["b"]})
    status, shown = _send(pair, "/admin/names", None, "GET")
    assert status == 200
    assert isinstance(shown["names"], list)
    assert [(item["id"], item["protected"]) for item in shown["names"]] == [("a/1", True), ("b", False)]
    for id in ("a/1", "b"):
        assert _send(pair, f"/admin/names/{id}", None, "DELETE") == (200, {"removed": id})
        assert _send(pair, f"/admin/names/{id}", None, "DELETE")[0] == 404
    assert _send(pair, "/admin/names", b"", "PUT")[0] == 405


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b'{"name": "Perrin Quarrywick"}', 400),
        ("application/json", b'[{"name": "Perrin Quarrywick", "sort": 1}]', 400),
        ("application/json", b'[{"name": 7}]', 400),
        ("application/json", b'[{"name": "x"}]', 400),
        ("text/csv", b"name\n\xff\xff\n", 400),
        ("text/csv", b"name,kind\nPerrin Quarrywick,friend\n", 400),
        ("text/plain", b"Perrin Quarrywick", 415),
    ],
)
def test_a_wrong_list_of_names_is_a_typed_error_and_lists_nobody(
    pair: Pair, kind: str, body: bytes, status: int
) -> None:
    found, reply = _send(pair, "/admin/names", body, "POST", content_type=kind)
    assert found == status
    assert "Quarrywick" not in str(reply)
    assert _send(pair, "/admin/names", None, "GET")[1]["names"] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_names_need_the_token(pair: Pair, method: str) -> None:
    assert fetch(pair.url + "/admin/names", b"[]" if method == "POST" else None, method)[0] == 401


def test_a_list_of_names_too_large_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_BODY", 10)
    assert _send(pair, "/admin/names", b"name\nPerrin Quarrywick", "POST", content_type="text/csv")[0] == 413
