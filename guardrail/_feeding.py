"""Blocked outputs go to a takedown bank where the policy says so. Private to `guardrail.guard`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Semaphore

from guardrail.errors import GuardrailError
from guardrail.records import FingerprintStore
from guardrail.settings import Settings
from guardrail.signals import DecodedPicture
from guardrail.verdict import Verdict
from guardrail.vision.fingerprint import listing

MOST_WAITING = 64
"""Pictures that may wait to be listed; they are held in memory until then, so more are left out and told."""

_log = logging.getLogger("guardrail.takedown")


class Feeder:
    """One thread that lists blocked pictures by their fingerprint, after their verdict is out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guardrail-feed")
        self._room = Semaphore(MOST_WAITING)

    def feed(self, picture: DecodedPicture, banks: Iterable[str], verdict: Verdict) -> None:
        """List a picture in banks, unless it is already on the list. Never waits and never raises."""
        if any(item.name == "fingerprint.match" and item.score >= 0.5 for item in verdict.signals):
            return
        if not self._room.acquire(blocking=False):
            _log.warning("verdict %s: too many blocked pictures at once, this one is not listed", verdict.id)
            return
        self._pool.submit(self._list, picture, sorted(banks), verdict.id)

    def close(self) -> None:
        """List what still waits."""
        self._pool.shutdown(wait=True)

    def _list(self, picture: DecodedPicture, banks: list[str], ref: str) -> None:
        try:
            hashes = listing(picture)
            with closing(FingerprintStore(self._settings)) as store:
                for bank in banks:
                    store.add(hashes[0], bank=bank, ref=ref, variants=hashes[1:])
        except GuardrailError as error:
            _log.warning("verdict %s: not listed (%s)", ref, error.code)
        finally:
            self._room.release()
