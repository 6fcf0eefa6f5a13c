from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import SecretStr

from guardrail.records import Bank, FingerprintStore, LocalRegistry
from guardrail.settings import Server
from guardrail.testing import drawn_picture
from tests.records.parts import wait_until
from tests.sidecar.parts import Pair, fetch, running
from tests.vision.files import drawing, encoded

_TOKEN = "a long admin token"
_HASH = "ab" * 32
PICTURE = drawn_picture("b", size=(480, 360))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("admin"), server=Server(admin_token=SecretStr(_TOKEN))) as found:
        yield found


@pytest.fixture(autouse=True)
def _empty(pair: Pair) -> Iterator[None]:
    yield
    store = FingerprintStore(pair.guard.settings)
    for name in store.banks():
        store.remove_bank(name)
    store.close()


def _send(pair: Pair, path: str, body: bytes | None, method: str, **headers: str) -> tuple[int, dict[str, Any]]:
    status, _, reply = fetch(
        f"{pair.url}/admin/takedowns{path}", body, method, authorization=f"Bearer {_TOKEN}", **headers
    )
    return status, orjson.loads(reply)


def test_a_picture_is_listed_acts_within_two_seconds_and_is_removed(pair: Pair) -> None:
    local = LocalRegistry(pair.guard.settings)
    assert local.fingerprints().ids == ()
    query = "?bank=own-reports&ref=case-7&days=3"
    status, reply = _send(pair, query, PICTURE, "POST", content_type="image/png")
    assert status == 200
    (entry,) = reply["ids"]
    wait_until(lambda: local.fingerprints().ids == (entry,), 2)
    local.close()
    ((shown,), more) = (found := _send(pair, "?bank=own-reports", None, "GET")[1])["entries"], found["more"]
    assert (shown["id"], shown["ref"], shown["distance"], more) == (entry, "case-7", 40, False)
    assert _send(pair, "?bank=other", None, "GET")[1]["entries"] == []
    assert _send(pair, f"/{entry}", None, "DELETE") == (200, {"removed": entry})
    assert _send(pair, f"/{entry}", None, "DELETE")[0] == 404


def test_hashes_are_listed_as_csv_and_banks_are_shown(pair: Pair) -> None:
    body = f"signal_type,signal\npdq,{_HASH}\nmd5,x\n".encode()
    found = _send(pair, "?bank=partner&distance=9", body, "POST", content_type="text/csv; charset=utf-8")
    assert found == (200, {"listed": 1, "left_out": {"other_types": 1, "poor": 0, "expired": 0}})
    (shown,) = _send(pair, "", None, "GET")[1]["entries"]
    assert (shown["hash"], shown["distance"], shown["bank"]) == (_HASH, 9, "partner")
    assert [bank["name"] for bank in _send(pair, "/banks", None, "GET")[1]["banks"]] == ["takedowns", "partner"]


def test_what_is_held_back_is_shown_and_released(pair: Pair) -> None:
    store = FingerprintStore(pair.guard.settings)
    store.set_bank(Bank("partner", flood=1))
    hash = np.frombuffer(bytes.fromhex(_HASH), np.uint8)
    entry, other = store.add(hash, bank="partner"), store.add(hash)
    store.note(entry, hash)
    store.close()
    assert [item["id"] for item in _send(pair, "?held=true", None, "GET")[1]["entries"]] == [entry]
    assert _send(pair, f"/{entry}/release", b"", "POST") == (200, {"released": entry})
    assert _send(pair, f"/{other}/release", b"", "POST")[0] == 404
    assert _send(pair, "?held=true", None, "GET")[1]["entries"] == []


@pytest.mark.parametrize(
    ("query", "kind", "body", "status"),
    [
        ("", "image/png", b"not a picture", 400),
        ("", "image/png", encoded(drawing(size=(1, 1)), "PNG"), 400),
        ("", "text/csv", b"hash\nab\n", 400),
        ("", "text/csv", b"\xff\xfe", 400),
        ("", "text/plain", b"x", 415),
        ("?distance=65", "image/png", PICTURE, 400),
        ("?days=soon", "image/png", PICTURE, 400),
        ("?bank=A%20Bank", "image/png", PICTURE, 400),
        ("?ref=a%20name", "image/png", PICTURE, 400),
    ],
)
def test_what_cannot_be_listed_is_a_typed_error_and_lists_nothing(
    pair: Pair, query: str, kind: str, body: bytes, status: int
) -> None:
    found, reply = _send(pair, query, body, "POST", content_type=kind)
    assert found == status
    assert reply["error"]["message"]
    assert "soon" not in str(reply)
    assert "a name" not in str(reply)
    assert _send(pair, "", None, "GET")[1]["entries"] == []


def test_a_bank_of_another_service_takes_no_entries(pair: Pair) -> None:
    store = FingerprintStore(pair.guard.settings)
    store.set_bank(Bank("remote", url="http://127.0.0.1:9", required=False))
    store.close()
    found, reply = _send(pair, "?bank=remote", PICTURE, "POST", content_type="image/png")
    assert (found, reply["error"]["code"]) == (409, "remote_bank")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_list_needs_the_token(pair: Pair, method: str) -> None:
    assert fetch(pair.url + "/admin/takedowns", b"x" if method == "POST" else None, method)[0] == 401
