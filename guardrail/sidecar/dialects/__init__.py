"""Protocols of generators. A dialect reads its requests and writes its answers; it never looks inside a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from guardrail.sidecar.wire import Handler


class Dialect(Protocol):
    """One protocol.

    Attributes:
        name: as in `guardrail serve --dialect`.
        prefix: path under which all of its routes lie, such as "/v1".
    """

    name: str
    prefix: str

    def routes(self) -> Mapping[str, tuple[str, Handler]]:
        """Exact path -> method and handler. Whatever is not listed is closed."""
        ...
