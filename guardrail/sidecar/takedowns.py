"""/admin/takedowns: the takedown list, read, extended and shortened by HTTP."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool

from guardrail.errors import ProtocolError, RecordError
from guardrail.records import DEFAULT_BANK, Bank, FingerprintStore, NewFingerprint
from guardrail.records.database import checked_id
from guardrail.records.hashlist import Counted, read_hashes
from guardrail.settings import Settings
from guardrail.sidecar.wire import read_body
from guardrail.signals import Picture
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import listing

MAX_LIST = 16 * 2**20
"""Bytes of one hash list; longer ones are imported on the command line."""
MOST_SHOWN = 1_000
_DAY_S = 86_400
_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")

_Bank = Annotated[str, Query()]
_Distance = Annotated[int | None, Query(ge=0, le=64)]
_Ref = Annotated[str | None, Query(max_length=128)]
_Days = Annotated[int | None, Query(ge=1, le=36_500)]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How what is sent is to be listed."""

    bank: str
    distance: int | None
    ref: str | None
    days: int | None

    @property
    def expires_at(self) -> float | None:
        return None if self.days is None else time.time() + self.days * _DAY_S


def takedown_routes(settings: Settings) -> APIRouter:
    """GET lists, POST adds (a picture, or a CSV of hashes), DELETE removes, POST …/release ends a quarantine.

    Args:
        settings: where the data folder is, and the limits of pictures.
    """
    routes = APIRouter(prefix="/admin/takedowns")

    @routes.get("")
    def listed(bank: str | None = None, held: bool = False) -> dict[str, Any]:
        with closing(FingerprintStore(settings)) as store:
            wanted = (entry for entry in store.each(bank) if not held or entry.held_at is not None)
            found = [asdict(entry) for entry in islice(wanted, MOST_SHOWN + 1)]
        return {"entries": found[:MOST_SHOWN], "more": len(found) > MOST_SHOWN}

    @routes.get("/banks")
    def banks() -> dict[str, Any]:
        with closing(FingerprintStore(settings)) as store:
            return {"banks": [asdict(bank) for bank in store.banks().values()]}

    @routes.post("")
    async def add(
        request: Request,
        bank: _Bank = DEFAULT_BANK,
        distance: _Distance = None,
        ref: _Ref = None,
        days: _Days = None,
    ) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/csv" and kind not in _PICTURES:
            raise ProtocolError("send one picture, or hashes as text/csv", status=415, code="unsupported_media_type")
        limit = MAX_LIST if kind == "text/csv" else settings.limits.max_picture_bytes
        body = await read_body(list(request.headers.items()), request.receive, limit)
        wanted = _Wanted(bank, distance, ref, days)
        await run_in_threadpool(_check, settings, wanted)
        work = _import if kind == "text/csv" else _add
        return await run_in_threadpool(work, settings, body, wanted)

    @routes.post("/{id}/release")
    def release(id: str) -> dict[str, str]:
        with closing(FingerprintStore(settings)) as store:
            if not store.release(id):
                raise HTTPException(404)
        return {"released": id}

    @routes.delete("/{id}")
    def remove(id: str) -> dict[str, str]:
        with closing(FingerprintStore(settings)) as store:
            if not store.remove(id):
                raise HTTPException(404)
        return {"removed": id}

    return routes


def _check(settings: Settings, wanted: _Wanted) -> None:
    """Refuse what the caller got wrong, which the store would report as a fault of its own."""
    try:
        Bank(wanted.bank)
        if wanted.ref is not None:
            checked_id(wanted.ref, "a reference")
    except RecordError as error:
        raise ProtocolError(error.message) from None
    with closing(FingerprintStore(settings)) as store:
        bank = store.banks().get(wanted.bank)
    if bank is not None and bank.url is not None:
        raise ProtocolError("another service holds this bank", status=409, code="remote_bank", param="bank")


def _add(settings: Settings, body: bytes, wanted: _Wanted) -> dict[str, Any]:
    hashes = listing(decode(Picture(body), settings.limits))
    with closing(FingerprintStore(settings)) as store:
        entry = store.add(
            hashes[0],
            distance=wanted.distance,
            ref=wanted.ref,
            expires_at=wanted.expires_at,
            bank=wanted.bank,
            variants=hashes[1:],
        )
    return {"ids": [entry]}


def _import(settings: Settings, body: bytes, wanted: _Wanted) -> dict[str, Any]:
    counted = Counted()
    lines = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    # all of it is read first: a broken row lists nothing
    entries = list(_with(read_hashes(lines, counted), wanted))
    with closing(FingerprintStore(settings)) as store:
        count = store.load(entries, bank=wanted.bank)
    return {"listed": count, "left_out": asdict(counted)}


def _with(entries: Iterable[NewFingerprint], wanted: _Wanted) -> Iterable[NewFingerprint]:
    for entry in entries:
        distance = entry.distance if wanted.distance is None else wanted.distance
        expires = entry.expires_at if wanted.expires_at is None else wanted.expires_at
        yield NewFingerprint(entry.hash, distance, entry.ref or wanted.ref, expires)
