"""What a request's uploads show, worked out once and kept for as long as the request is likely to last, in memory only.

A request of n outputs compares each of them with the same uploads: their faces and how bare they are are read once.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from guardrail.detector import DetectorContext, ModelProvider
from guardrail.errors import PictureError
from guardrail.settings import Limits
from guardrail.sharing import Shared
from guardrail.signals import DecodedPicture, Picture, Role
from guardrail.vision.decode import decode
from guardrail.vision.detect import Face
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import Level, levels
from guardrail.vision.seen import Seen, see

MAX_ENTRIES = 32
MAX_FACES = 16
"""Faces kept of one upload, largest first."""
SECONDS = 300.0
"""Age from which a template of somebody who is not enrolled is dropped, at the next look."""

Exposure = Callable[[ModelProvider, Level, Face | None], float]
"""How bare a level is, or the person of one face in it: a score in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class UploadFaces:
    """Templates of one upload as (n, 128), and why there may be fewer than it shows; empty when all were read.

    Attributes:
        vectors: from both flips, unit length.
        missing: what was left out.
        faces: the face of each row.
        levels: the 0-based level of each row.
    """

    vectors: Tensor
    missing: str = ""
    faces: tuple[Face, ...] = ()
    levels: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class _Entry:
    until: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    faces: UploadFaces | None = None
    exposures: dict[int, float] = field(default_factory=dict)
    found: tuple[tuple[tuple[Face, ...], int], ...] | None = None


class UploadMemory:
    """Faces and exposure by a digest of the upload that is keyed afresh in every process. Safe for several threads."""

    def __init__(self, models: ModelProvider, limits: Limits) -> None:
        self._models = models
        self._limits = limits
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, _Entry] = OrderedDict()

    @classmethod
    def shared(cls, context: DetectorContext) -> UploadMemory:
        """The one memory of all detectors that are built with the same models."""
        return _SHARED.of(context.models, lambda: cls(context.models, context.settings.limits))

    def faces(self, uploads: Iterable[Picture]) -> list[UploadFaces]:
        """Faces of every upload that can show a person; masks are left out.

        Raises:
            DetectionError: a net failed.
        """
        return [self._faces(upload) for upload in shown(uploads)]

    def note(self, upload: Picture, pictured: Sequence[Seen]) -> None:
        """Keep which faces each level of an upload has, from the check of the upload: boxes and features, no pixels."""
        if upload.role is not Role.MASK:
            self._entry(upload).found = tuple((tuple(item.faces), item.more) for item in pictured)

    def exposure(self, upload: Picture, row: int, measure: Exposure) -> float:
        """How bare the person of one row of `faces` is in the upload; row -1 means the upload's first level as a whole.

        Raises:
            DetectionError: a net failed.
            PictureError: the upload cannot be decoded.
        """
        faces = self._faces(upload)
        entry = self._entry(upload)
        with entry.lock:
            known = entry.exposures.get(row)
            if known is None:
                found = list(levels(decode(upload, self._limits)))
                face = faces.faces[row] if row >= 0 else None
                known = measure(self._models, found[faces.levels[row] if row >= 0 else 0], face)
                entry.exposures[row] = known
            return known

    def _entry(self, upload: Picture) -> _Entry:
        digest = hashlib.blake2b(upload.data, key=self._key, digest_size=32).digest()
        now = time.monotonic()
        with self._lock:
            for old in [key for key, entry in self._kept.items() if entry.until < now]:
                del self._kept[old]
            entry = self._kept.get(digest)
            if entry is None:
                entry = self._kept[digest] = _Entry(now + SECONDS)
                while len(self._kept) > MAX_ENTRIES:
                    self._kept.popitem(last=False)
            return entry

    def _faces(self, upload: Picture) -> UploadFaces:
        entry = self._entry(upload)
        # of outputs that are judged at once, one reads the upload and the others wait for it
        with entry.lock:
            if entry.faces is None:
                entry.faces = self._read(upload, entry.found)
            return entry.faces

    def _read(self, upload: Picture, known: tuple[tuple[tuple[Face, ...], int], ...] | None) -> UploadFaces:
        try:
            picture: DecodedPicture = decode(upload, self._limits)
        except PictureError as error:
            return UploadFaces(np.zeros((0, 128), dtype=np.float32), f"an upload was refused: {error.reason}")
        vectors: list[Tensor] = []
        faces: list[Face] = []
        where: list[int] = []
        total = 0
        each = list(levels(picture))
        if known is None or len(known) != len(each):
            pictured = (see(self._models, level) for level in each)
        else:
            pictured = (
                Seen(level, list(faces), more, self._models) for level, (faces, more) in zip(each, known, strict=True)
            )
        for number, found in enumerate(pictured):
            total += len(found.faces) + found.more
            for index in range(min(len(found.faces), MAX_FACES - len(vectors))):
                vectors.append(found.look(index).full)
                faces.append(found.faces[index])
                where.append(number)
        missing = f"only {MAX_FACES} of {total} faces of an upload were compared" if total > len(vectors) else ""
        stacked = np.stack(vectors) if vectors else np.zeros((0, 128), dtype=np.float32)
        return UploadFaces(stacked, missing, tuple(faces), tuple(where))


def shown(uploads: Iterable[Picture]) -> list[Picture]:
    """The uploads that can show a person: all but masks."""
    return [upload for upload in uploads if upload.role is not Role.MASK]


_SHARED: Shared[ModelProvider, UploadMemory] = Shared()
