"""A picture concept ready to be compared: what lies near it, what lies near its look-alikes, and its scale."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guardrail.errors import PictureError, PolicyError
from guardrail.inference.clip import ClipEncoder, Vectors
from guardrail.settings import Limits
from guardrail.signals import Calibration, Concept, ExampleFile, Picture
from guardrail.vision.concepts.embedding import TEMPLATES, embed_picture, phrase_vectors
from guardrail.vision.decode import decode

NEUTRAL = (
    "a person",
    "a group of people",
    "a face",
    "an animal",
    "a landscape",
    "a city street",
    "a building",
    "the inside of a room",
    "a vehicle",
    "food on a table",
    "a plant",
    "an object",
    "clothing",
    "furniture",
    "the sky",
    "water",
    "a sign with text",
    "a screenshot",
    "an abstract pattern",
    "a plain background",
)
"""What pictures show most often: a concept must be nearer than these."""

_KEPT = 0.75
"""Share of `NEUTRAL` that is kept for a concept; the nearest may be what it means."""
_SAME = 0.9999
_LARGEST = 40.0
_SOFT = 0.25
"""Of the learned temperature, for nearness without a calibration: learned in large batches, it saturates."""
_GATE = 2.0
"""Of the learned temperature, for look-alikes: what is nearer by half a learned logit is let through at 0.73."""

Scores = NDArray[np.float64]
STALE = "Run `guardrail policy calibrate-concepts` again."


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """(pictures,) nearness to what is meant, and logits of being nearer to it than to a look-alike."""

    near: Scores
    gate: Scores


@dataclass(frozen=True, slots=True, eq=False)
class PictureConcept:
    """Vectors of one concept, and its scale.

    Attributes:
        words, apart, neutral: (n, vector) of the words, of look-alikes and of everyday things.
        examples, others: (n, vector) of example pictures and of look-alikes.
        scale: logits per unit of cosine, of the model.
    """

    concept: Concept
    words: Vectors
    apart: Vectors
    neutral: Vectors
    examples: Vectors
    others: Vectors
    scale: float

    def parts(self, vectors: Vectors) -> dict[str, Part]:
        """What words say ("words") and what example pictures say ("examples"), as far as the concept has them.

        Words are near when they beat the log mean of everyday things, in logits of the model; pictures by their cosine.
        Look-alikes only shut the gate: in a difference, a thing that is far from both would beat what is meant.
        """
        found = {}
        if len(self.words):
            logits = self.scale * (vectors @ self.neutral.T).astype(np.float64)
            ground = np.logaddexp.reduce(logits, axis=1) - math.log(logits.shape[1])
            like = (vectors @ self.words.T).max(axis=1).astype(np.float64)
            found["words"] = Part(self.scale * like - ground, self._gate(like, vectors, self.apart))
        if len(self.examples):
            like = (vectors @ self.examples.T).max(axis=1).astype(np.float64)
            found["examples"] = Part(like, self._gate(like, vectors, self.others))
        return found

    def _gate(self, like: Scores, vectors: Vectors, apart: Vectors) -> Scores:
        """(pictures,) logits of being nearer to what is meant than to any look-alike."""
        if not len(apart):
            return np.full(len(like), _LARGEST)
        found: Scores = _GATE * self.scale * (like - (vectors @ apart.T).max(axis=1))
        return found

    def scores(self, vectors: Vectors) -> Scores:
        """(pictures,) scores in [0, 1]; 0.5 is the even point of the calibration, or of the model itself.

        A part scores as much as both its nearness and its gate allow; the better part counts.
        """
        assert self.concept.shown is not None
        scale = self.concept.shown.calibration
        logits = []
        for name, part in self.parts(vectors).items():
            if scale is None:
                near = _SOFT * part.near
            else:
                mean, spread = scale.words if name == "words" else scale.examples
                near = scale.slope * ((part.near - mean) / spread - scale.even)
            logits.append(np.minimum(near, part.gate))
        best = np.clip(np.maximum.reduce(logits), -_LARGEST, _LARGEST)
        found: Scores = 1.0 / (1.0 + np.exp(-best))
        return found


def learn(concept: Concept, clip: ClipEncoder, digest: str, limits: Limits, *, bare: bool = False) -> PictureConcept:
    """Embed what a concept says.

    Args:
        concept: with a picture side.
        clip: the encoder.
        digest: of its image tower, which a calibration must name.
        limits: for example pictures.
        bare: without a scale, to find one.

    Raises:
        PolicyError: the calibration is of another CLIP or of other words; example pictures have none; an example
            cannot be read or has changed; the same is meant and not meant.
    """
    shown = concept.shown
    assert shown is not None
    if not bare:
        _check_scale(concept, shown.calibration, digest)
    templates = shown.templates or TEMPLATES
    words, apart = (phrase_vectors(clip, item, templates) for item in (shown.like, shown.unlike))
    examples, others = (_pictures(concept, item, clip, limits) for item in (shown.examples, shown.unlike_examples))
    for near, far in ((words, apart), (examples, others)):
        if len(near) and len(far) and float((near @ far.T).max()) > _SAME:
            raise _fault(concept, "something is both meant and not meant", "Take it out of one of the two lists.")
    neutral = phrase_vectors(clip, NEUTRAL, templates)
    if len(words):
        order = np.argsort((neutral @ words.T).max(axis=1), kind="stable")
        neutral = neutral[order[: math.ceil(_KEPT * len(NEUTRAL))]]
    return PictureConcept(concept, words, apart, neutral, examples, others, clip.spec.scale)


def _check_scale(concept: Concept, scale: Calibration | None, digest: str) -> None:
    shown = concept.shown
    assert shown is not None
    if scale is None:
        if shown.examples:
            raise _fault(
                concept,
                "example pictures have no scale of their own, and there is no calibration",
                "Run `guardrail policy calibrate-concepts` on benign pictures and name its file under `calibration`.",
            )
    elif scale.clip != digest:
        raise _fault(concept, "its calibration was made with another CLIP", STALE)
    elif scale.definition != shown.digest:
        raise _fault(concept, "its calibration was made for other words or pictures", STALE)


def _pictures(concept: Concept, files: Sequence[ExampleFile], clip: ClipEncoder, limits: Limits) -> Vectors:
    rows = []
    for item in files:
        try:
            data = Path(item.path).read_bytes()
            if hashlib.sha256(data).hexdigest() != item.sha256:
                raise _fault(concept, "an example picture changed while it was read", "Load the policy again.")
            rows.append(embed_picture(clip, decode(Picture(data), limits).frames[0].rgb))
        except (OSError, PictureError) as error:
            name = Path(item.path).name
            raise _fault(concept, f"example picture {name!r:.80} cannot be judged", "Give another picture.") from error
    return np.stack(rows) if rows else np.zeros((0, clip.spec.vector), np.float32)


def _fault(concept: Concept, message: str, advice: str) -> PolicyError:
    return PolicyError(f"concept {concept.name!r}: {message}", file=concept.file, line=concept.line, advice=advice)
