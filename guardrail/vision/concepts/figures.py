"""`vision.figures`: public figures by name, a weak signal that can never act alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from guardrail.detector import DetectorContext, Example
from guardrail.inference.clip import ClipEncoder, Vectors
from guardrail.signals import (
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    Frame,
    GenerationRequest,
    Picture,
    Signal,
    Skip,
    Subject,
)
from guardrail.taxonomy import Stage
from guardrail.vision.concepts.embedding import embedded, phrase_vectors

NAME = "vision.figures"
SIGNAL = "person.public_figure"
CAP = 0.45
"""Highest score: a look-alike and a namesake look the same to a CLIP, so no rule at the even point acts on it alone."""
MOST = 512
"""Names that are looked for, in the order of the list."""
_TEMPLATES = ("a photo of {}", "a portrait of {}", "{}")
_ANYBODY = (
    "a person",
    "a man",
    "a woman",
    "a young man",
    "a young woman",
    "an old man",
    "an old woman",
    "an unknown person",
    "a group of people",
    "nobody",
    "a landscape",
    "an object",
)
_FLOOR = 0.005


class FiguresDetector:
    """Raises `person.public_figure`, at most 0.45, when a picture is nearer to a listed name than to anybody.

    The names are those of `guardrail names` with the kind `public`; evidence holds their opaque id.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({SIGNAL})
    cost_ms = 31.0

    def __init__(self, context: DetectorContext, clip: ClipEncoder) -> None:
        self._clip = clip
        self._registry = context.registry
        self.models = clip.parts
        self._anybody = phrase_vectors(clip, _ANYBODY, _TEMPLATES)
        self._lock = threading.Lock()
        self._version: int | None = None
        self._ids: tuple[str, ...] = ()
        self._left = 0
        self._vectors: Vectors = np.zeros((0, clip.spec.vector), np.float32)

    def detect(self, subject: Subject) -> Detection:
        """The nearest name over every frame.

        Raises:
            DetectionError: a network failed.
        """
        ids, names, left = self._names()
        skipped = (Skip(f"{NAME}:names", f"{left} names beyond the first {MOST}"),) if left else ()
        if not ids:
            return Detection(coverage=Coverage((f"{NAME}:names=0",), skipped))
        levels, vectors = embedded(subject, self._clip)
        scale = self._clip.spec.scale
        logits = scale * np.concatenate([vectors @ names.T, vectors @ self._anybody.T], axis=1).astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = (powers / powers.sum(axis=1, keepdims=True))[:, : len(ids)]
        level, at = (int(item) for item in np.unravel_index(int(np.argmax(shares)), shares.shape))
        score = CAP * float(shares[level, at])
        coverage = Coverage((f"{NAME}:names={len(ids)}",), skipped)
        if score < _FLOOR:
            return Detection(coverage=coverage)
        evidence = Evidence(frame=levels[level].frame, view=levels[level].view, ref=ids[at], detail={"by": "name"})
        return Detection((Signal(SIGNAL, score, NAME, (evidence,)),), coverage)

    def examples(self) -> Sequence[Example]:
        """A flat grey picture, which is nobody."""
        grey = np.full((96, 96, 3), 128, dtype=np.uint8)
        picture = DecodedPicture(Picture(b""), "png", 96, 96, (Frame(0, grey),))
        return (Example(Subject(Stage.OUTPUT, GenerationRequest(), picture=picture), below={SIGNAL: 0.5}, note="grey"),)

    def _names(self) -> tuple[tuple[str, ...], Vectors, int]:
        """Ids and vectors of the current list, made anew when it has changed."""
        listed = self._registry.names()
        with self._lock:
            if listed.version != self._version:
                public = [item for item in listed.names if item.kind == "public"]
                kept = public[:MOST]
                self._vectors = phrase_vectors(self._clip, tuple(item.name for item in kept), _TEMPLATES)
                self._ids, self._left = tuple(item.id for item in kept), len(public) - len(kept)
                self._version = listed.version
            return self._ids, self._vectors, self._left
