"""/admin/names: the operator's list of names, read, extended and shortened by HTTP."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from guardrail.errors import ProtocolError
from guardrail.records import NamesStore, read_names
from guardrail.settings import Settings
from guardrail.sidecar.wire import read_body
from guardrail.signals import ListedName

MAX_BODY = 16 * 2**20
"""Bytes of one list."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    id: str = ""
    aliases: list[str] = []
    kind: str = "private"
    protected: bool = False
    born: int | None = None
    died: int | None = None

    def listed(self) -> ListedName:
        return ListedName(**{**self.model_dump(), "aliases": tuple(self.aliases)})


_ENTRIES = TypeAdapter(list[_Entry])


def names_routes(settings: Settings) -> APIRouter:
    """GET lists, POST adds (a JSON array or a CSV file), DELETE removes by id.

    Args:
        settings: where the data folder is.
    """
    routes = APIRouter(prefix="/admin/names")

    @routes.get("")
    def listed() -> dict[str, Any]:
        with closing(NamesStore(settings)) as store:
            found = store.current()
        return {"version": found.version, "names": [asdict(entry) for entry in found.names]}

    @routes.post("")
    async def add(request: Request) -> dict[str, list[str]]:
        body = await read_body(list(request.headers.items()), request.receive, MAX_BODY)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        return {"ids": await run_in_threadpool(_add, settings, _read(kind, body))}

    @routes.delete("/{id:path}")
    def remove(id: str) -> dict[str, str]:
        with closing(NamesStore(settings)) as store:
            if not store.remove(id):
                raise HTTPException(404)
        return {"removed": id}

    return routes


def _add(settings: Settings, entries: list[ListedName]) -> list[str]:
    with closing(NamesStore(settings)) as store:
        return store.add(entries)


def _read(kind: str, body: bytes) -> list[ListedName]:
    if kind == "text/csv":
        return list(read_names(io.TextIOWrapper(io.BytesIO(body), "utf-8", newline=""), "the body"))
    if kind != "application/json":
        raise ProtocolError("send application/json or text/csv", status=415, code="unsupported_media_type")
    try:
        return [entry.listed() for entry in _ENTRIES.validate_json(body)]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        row = next((part for part in first["loc"] if isinstance(part, int)), None)
        where = "the body" if row is None else f"entry {row}"
        raise ProtocolError(f"{where}: a list of names is an array of objects ({first['type']})") from None
