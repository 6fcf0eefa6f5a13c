"""Banks of the takedown list: where entries come from, how near is near, for how long, and how far they are trusted."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, delete, insert, select

from guardrail.errors import RecordError
from guardrail.records.database import banks
from guardrail.signals import RemoteBank

DEFAULT_BANK = "takedowns"
MAX_DISTANCE = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Bank:
    """What holds for the entries of one source.

    Attributes:
        name: lower-case letters, digits and dashes.
        distance: differing bits, 0 to 64, for new entries; None: 31 for hashes, 40 for pictures.
        days: for how long new entries act; None for ever.
        rollout: percent of the entries that act, always the same ones; the rest only flags.
        flood: different pictures within `window_s` from which an entry is held back as suspect; 0 never holds back.
        window_s: seconds.
        url: base URL of a hasher-matcher-actioner that holds the bank; such a bank has no entries here.
        timeout_s: seconds for one question to it.
        required: whether pictures close when it does not answer.
        token_env: environment variable with a bearer token for it.
    """

    name: str
    distance: int | None = None
    days: int | None = None
    rollout: int = 100
    flood: int = 0
    window_s: int = 3_600
    url: str | None = None
    timeout_s: float = 2.0
    required: bool = True
    token_env: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise RecordError(
                "a bank is named by 1 to 64 lower-case letters, digits and dashes",
                advice="Name its source, such as stopncii or own-reports.",
            )
        for what, value, low, high in (
            ("a distance", self.distance, 0, MAX_DISTANCE),
            ("days", self.days, 1, 36_500),
            ("a roll-out", self.rollout, 0, 100),
            ("a flood", self.flood, 0, 1_000_000),
            ("a window", self.window_s, 1, 30 * 86_400),
        ):
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high
            ):
                raise RecordError(f"bank {self.name}: {what} is a whole number from {low} to {high}")
        if not 0.05 <= self.timeout_s <= 30:
            raise RecordError(f"bank {self.name}: a timeout is 0.05 to 30 seconds")
        if self.url is not None and (
            urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).netloc
        ):
            raise RecordError(f"bank {self.name}: a URL begins with http:// or https:// and names a host")

    def acts_on(self, entry: str) -> bool:
        """Whether the roll-out has reached an entry: the same answer in every process."""
        if self.rollout >= 100:
            return True
        drawn = hashlib.blake2b(f"{self.name}\0{entry}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") % 100 < self.rollout

    def expires_at(self, days: int | None = None) -> float | None:
        """Unix time until which an entry listed now acts; `days` goes before the bank's own."""
        chosen = self.days if days is None else days
        return None if chosen is None else time.time() + chosen * 86_400

    def remote(self) -> RemoteBank | None:
        """How to ask it, when another service holds it.

        Raises:
            RecordError: its token is not in the environment.
        """
        if self.url is None:
            return None
        token = None
        if self.token_env is not None:
            token = os.environ.get(self.token_env)
            if not token:
                raise RecordError(
                    f"bank {self.name}: the environment has no {self.token_env}", advice="Set it, and start again."
                )
        return RemoteBank(self.name, self.url, self.timeout_s, self.required, token)


_FIELDS = {field.name for field in fields(Bank)}


def read_banks(connection: Connection) -> dict[str, Bank]:
    """Every bank by name; the default one is always among them.

    Raises:
        RecordError: one cannot be read.
    """
    found = {DEFAULT_BANK: Bank(DEFAULT_BANK)}
    for row in connection.execute(select(banks).order_by(banks.c.name)):
        spec: dict[str, Any] = orjson.loads(row.spec)
        found[row.name] = Bank(**{name: value for name, value in spec.items() if name in _FIELDS})
    return found


def write_bank(connection: Connection, bank: Bank) -> None:
    """Keep a bank in place of one of the same name."""
    connection.execute(delete(banks).where(banks.c.name == bank.name))
    connection.execute(insert(banks).values(name=bank.name, at=time.time(), spec=orjson.dumps(asdict(bank)).decode()))
