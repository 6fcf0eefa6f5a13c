"""Banks of other services, asked as hasher-matcher-actioner is: `GET /m/lookup?signal_type=pdq&signal=HEX`.

Only hashes leave, never pixels. Its answer is a list of bank names, or a mapping of bank names to what matched in them,
the same under the signal type's name, or the `matches` of `/m/raw_lookup`
(https://github.com/facebook/ThreatExchange/tree/main/hasher-matcher-actioner).
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray

from guardrail.errors import DetectionError
from guardrail.signals import RemoteBank
from guardrail.vision.fingerprint.index import Match

KEPT_S = 60.0
"""How long an answer is used again."""
PAUSE_S = 1.0
"""How long a service that failed is left alone; meanwhile it counts as failed."""
_MOST_ANSWERS = 4_096
_MOST_BYTES = 1 << 20
_MOST_BANKS = 16
_UNNAMED = "match"
_NAME = re.compile(r"[^A-Za-z0-9._-]")

Answer = tuple[tuple[str, int], ...]
"""(bank, distance) of what matched."""


class RemoteBanks:
    """Asks, remembers answers for a minute, and leaves a service that failed alone for a second. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._failed: dict[str, float] = {}

    def ask(
        self, banks: Sequence[RemoteBank], hashes: NDArray[np.uint8], rows: Sequence[int]
    ) -> tuple[list[Match], list[str]]:
        """What the banks know of some views of a picture, and which banks that are not required did not answer.

        Raises:
            DetectionError: a bank that is required did not answer.
        """
        found: list[Match] = []
        silent: list[str] = []
        for bank in banks:
            try:
                for row in rows:
                    answer = self._answer(bank, hashes[row].tobytes().hex())
                    found += [Match(row, distance, 0, f"{bank.name}/{name}", bank.name) for name, distance in answer]
            except _SilentError:
                if bank.required:
                    raise DetectionError(
                        f"bank {bank.name} does not answer",
                        advice="Look at the service, or let the bank be optional: `guardrail takedown bank set`.",
                    ) from None
                silent.append(bank.name)
        return found, silent

    def _answer(self, bank: RemoteBank, hash: str) -> Answer:
        now, key = time.monotonic(), (bank.name, hash)
        with self._lock:
            held = self._answers.get(key)
            if held is not None and now - held[0] < KEPT_S:
                return held[1]
            if now - self._failed.get(bank.name, -PAUSE_S) < PAUSE_S:
                raise _SilentError
        try:
            answer = _read(_fetched(bank, hash))
        except (OSError, HTTPException, ValueError) as error:
            with self._lock:
                self._failed[bank.name] = time.monotonic()
            raise _SilentError from error
        with self._lock:
            self._answers[key] = (now, answer)
            while len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
        return answer


class _SilentError(Exception):
    """The service could not be reached, was late, or answered what cannot be read."""


def _fetched(bank: RemoteBank, hash: str) -> bytes:
    where = urlsplit(bank.url)
    kind = HTTPSConnection if where.scheme == "https" else HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=bank.timeout_s)
    # the seed lets the service draw its own roll-out alike for one picture
    query = urlencode({"signal_type": "pdq", "signal": hash, "seed": hash})
    headers = {"accept": "application/json", "user-agent": "guardrail"}
    if bank.token is not None:
        headers["authorization"] = f"Bearer {bank.token}"
    try:
        connection.request("GET", f"{where.path.rstrip('/')}/m/lookup?{query}", headers=headers)
        reply = connection.getresponse()
        data = reply.read(_MOST_BYTES + 1)
    finally:
        connection.close()
    if reply.status != 200 or len(data) > _MOST_BYTES:
        raise ValueError("not an answer")
    return data


def _read(data: bytes) -> Answer:
    answer = orjson.loads(data)
    if isinstance(answer, dict) and "pdq" in answer:
        answer = answer["pdq"]
    if isinstance(answer, dict) and isinstance(answer.get("matches"), list):
        answer = {_UNNAMED: answer["matches"]} if answer["matches"] else {}
    if isinstance(answer, list):
        answer = dict.fromkeys(item if isinstance(item, str) else _UNNAMED for item in answer)
    if not isinstance(answer, dict):
        raise ValueError("neither banks nor matches")
    if any(isinstance(matched, dict) for matched in answer.values()):
        raise ValueError("banks of an unknown shape")
    # a bank with an empty list of matches did not match
    answer = {name: matched for name, matched in answer.items() if matched != []}
    found = [(_NAME.sub("-", str(name))[:64] or _UNNAMED, _closest(matched)) for name, matched in answer.items()]
    return tuple(found[:_MOST_BANKS])


def _closest(matched: Any) -> int:
    """The least distance told, 0 when none is."""
    if matched is None or not isinstance(matched, list):
        return 0
    told = [item.get("distance") for item in matched if isinstance(item, dict)]
    numbers = [int(float(item)) for item in told if isinstance(item, str | int | float)]
    return min(numbers, default=0)
