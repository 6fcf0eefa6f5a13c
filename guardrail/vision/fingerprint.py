"""PDQ fingerprints against a local list (Facebook 2019, "The TMK+PDQF video-hashing algorithm and the PDQ
image-hashing algorithm"): 256 bits a picture, compared by Hamming distance."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

from guardrail.detector import DetectorContext, Example
from guardrail.signals import (
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    FingerprintList,
    Frame,
    GenerationRequest,
    Picture,
    Signal,
    Skip,
    Subject,
)
from guardrail.taxonomy import Stage
from guardrail.vision.pyramid import Level, pyramid

NAME = "vision.fingerprint"
HASH_SIDE = 512
"""Longest side a picture is reduced to before hashing: for listing and for looking up alike."""
GOOD_QUALITY = 50
"""PDQ quality (0 to 100) below which its authors advise not to match; here half of an entry's distance counts."""
LEAST_QUALITY = 10
"""PDQ quality below which a picture is flat and its hash says nothing."""
CANARY_ID = "guardrail-canary"
"""Entry that is always listed, so that an operator can see the detector answer without listing anything."""
CANARY_DISTANCE = 10
FALL = 0.05
"""Score lost per bit beyond an entry's distance, from 0.5."""

VIEWS = ("plain", "turn90", "turn180", "turn270", "flip", "mirror", "turn90-flip", "turn270-flip")
"""The eight turns and mirrorings that a query is hashed in."""


def _hashes(level: Level) -> tuple[NDArray[np.uint8], int]:
    """(8, 32) packed hashes, one a view, and the quality."""
    picture = level.base
    scale = min(1.0, HASH_SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = np.ascontiguousarray(np.asarray(level.sized(*size, Image.Resampling.BILINEAR)))
    bits, quality = pdqhash.compute_dihedral(small)
    return np.packbits(np.asarray(bits, dtype=np.uint8), axis=1), int(quality)


def pdq(decoded: DecodedPicture) -> tuple[NDArray[np.uint8], int]:
    """The (32,) packed PDQ hash of the first frame, and its quality, 0 to 100."""
    hashes, quality = _hashes(Level(0, decoded.frames[0].rgb))
    return hashes[0], quality


def canary() -> NDArray[np.uint8]:
    """(256, 256, 3) RGB test card whose fingerprint is always listed; drawn, harmless and unlike any photograph."""
    y, x = np.mgrid[0:256, 0:256] / 256.0
    waves = np.sin(37 * x * y) + np.sin(11 * x + 23 * y * y) + np.sin(53 * (x - 0.4) * (y - 0.7))
    level = ((waves - waves.min()) / (waves.max() - waves.min()) * 255).astype(np.uint8)
    return np.dstack([level, 255 - level, level // 2 + 64])


def canary_png() -> bytes:
    """The test card as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(canary()).save(buffer, "PNG")
    return buffer.getvalue()


class _Match(NamedTuple):
    """An entry, the view it was found in, the Hamming distance, and how far that is beyond what the entry allows."""

    entry: int
    view: int
    distance: int
    beyond: int


class _Index:
    """One version of the list as machine words; exact search."""

    def __init__(self, listed: FingerprintList) -> None:
        own = _hashes(Level(0, canary()))[0][:1]
        self.version = listed.version
        self.ids = (CANARY_ID, *listed.ids)
        self.words = np.ascontiguousarray(np.concatenate([own, listed.hashes])).view(np.uint64)
        self.limits = np.concatenate([[CANARY_DISTANCE], listed.distances]).astype(np.int64)

    def nearest(self, hashes: NDArray[np.uint8], *, strict: bool) -> _Match:
        """The best match of (8, 32) hashes; with `strict`, of half of every entry's distance."""
        limits = self.limits // 2 if strict else self.limits
        best = _Match(0, 0, 256, 256)
        for view, query in enumerate(np.ascontiguousarray(hashes).view(np.uint64)):
            distances = np.bitwise_count(self.words ^ query).sum(axis=1, dtype=np.int64)
            entry = int(np.argmin(distances - limits))
            beyond = int(distances[entry] - limits[entry])
            if beyond < best.beyond:
                best = _Match(entry, view, int(distances[entry]), beyond)
        return best


class FingerprintDetector:
    """`fingerprint.match` for a picture on the takedown list, in any of its eight turns and mirrorings.

    The score is 1 at or within an entry's own distance, 0.45 one bit beyond it, and falls to 0 ten bits beyond.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"fingerprint.match"})
    cost_ms = 14.0
    models: tuple[str, ...] = ()

    def __init__(self, context: DetectorContext) -> None:
        self._registry = context.registry
        self._lock = threading.Lock()
        self._index: _Index | None = None

    def detect(self, subject: Subject) -> Detection:
        """The best match over all frames. Raises DetectionError without a picture."""
        index = self._current()
        levels = pyramid(subject)
        found: list[tuple[_Match, Level]] = []
        skipped: dict[Skip, None] = {}
        for level in levels:
            hashes, quality = _hashes(level)
            if quality < LEAST_QUALITY:
                skipped[Skip(NAME, "a flat frame has no telling fingerprint")] = None
                continue
            if quality < GOOD_QUALITY:
                skipped[Skip(NAME, "a frame with few features is matched within half the distance only")] = None
            found.append((index.nearest(hashes, strict=quality < GOOD_QUALITY), level))
        inspected = (f"{NAME}:frames={len({level.frame for level in levels})}", f"{NAME}:listed={len(index.ids) - 1}")
        signals: tuple[Signal, ...] = ()
        if found:
            match, level = min(found, key=lambda item: item[0].beyond)
            score = 1.0 if match.beyond <= 0 else 0.5 - FALL * match.beyond
            if score > 0:
                view, ref = level.view or VIEWS[match.view], index.ids[match.entry]
                evidence = Evidence(frame=level.frame, view=view, ref=ref, detail={"distance": str(match.distance)})
                signals = (Signal("fingerprint.match", score, NAME, (evidence,)),)
        return Detection(signals, Coverage(inspected, tuple(skipped)))

    def _current(self) -> _Index:
        listed = self._registry.fingerprints()
        with self._lock:
            if self._index is None or self._index.version != listed.version:
                self._index = _Index(listed)
            return self._index

    def examples(self) -> Sequence[Example]:
        """The test card that is always listed, and another drawing."""
        other = np.ascontiguousarray(np.roll(canary(), 90, axis=1)[::-1, :, ::-1] // 2)
        return (
            Example(_shown(canary()), at_least={"fingerprint.match": 1.0}, note="the test card"),
            Example(_shown(other), below={"fingerprint.match": 0.5}, note="another drawing"),
        )


def _shown(rgb: NDArray[np.uint8]) -> Subject:
    picture = DecodedPicture(Picture(b""), "png", rgb.shape[1], rgb.shape[0], (Frame(0, rgb),))
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
