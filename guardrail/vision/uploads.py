"""Faces of a request's uploads, found once and kept for as long as the request is likely to last, in memory only."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import PictureError
from guardrail.settings import Limits
from guardrail.signals import Picture, Role
from guardrail.vision.decode import decode
from guardrail.vision.detect import find
from guardrail.vision.embed import embed
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import levels

MAX_ENTRIES = 32
MAX_FACES = 16
"""Faces kept of one upload, largest first."""
SECONDS = 300.0
"""Age from which a template of somebody who is not enrolled is dropped, at the next look."""


@dataclass(frozen=True, slots=True, eq=False)
class UploadFaces:
    """Templates of one upload as (n, 128), and why there may be fewer than it shows; empty when all were read."""

    vectors: Tensor
    missing: str = ""


class UploadMemory:
    """Templates by a digest of the upload that is keyed afresh in every process. Safe for several threads."""

    def __init__(self, models: ModelProvider, limits: Limits) -> None:
        self._models = models
        self._limits = limits
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[float, UploadFaces]] = OrderedDict()

    def faces(self, uploads: Iterable[Picture]) -> list[UploadFaces]:
        """Faces of every upload that can show a person; masks are left out.

        Raises:
            DetectionError: a net failed.
        """
        return [self._of(upload) for upload in uploads if upload.role is not Role.MASK]

    def _of(self, upload: Picture) -> UploadFaces:
        digest = hashlib.blake2b(upload.data, key=self._key, digest_size=32).digest()
        now = time.monotonic()
        with self._lock:
            for old in [key for key, (until, _) in self._kept.items() if until < now]:
                del self._kept[old]
            known = self._kept.get(digest)
        if known is not None:
            return known[1]
        found = self._read(upload)
        with self._lock:
            self._kept[digest] = (now + SECONDS, found)
            while len(self._kept) > MAX_ENTRIES:
                self._kept.popitem(last=False)
        return found

    def _read(self, upload: Picture) -> UploadFaces:
        try:
            picture = decode(upload, self._limits)
        except PictureError as error:
            return UploadFaces(np.zeros((0, 128), dtype=np.float32), f"an upload was refused: {error.reason}")
        vectors: list[Tensor] = []
        seen = 0
        for level in levels(picture):
            faces, more = find(self._models, level)
            seen += len(faces) + more
            vectors += [embed(self._models, level.rgb, face) for face in faces[: MAX_FACES - len(vectors)]]
        if not vectors:
            return UploadFaces(np.zeros((0, 128), dtype=np.float32))
        missing = f"only {MAX_FACES} of {seen} faces of an upload were compared" if seen > len(vectors) else ""
        return UploadFaces(np.stack(vectors), missing)
