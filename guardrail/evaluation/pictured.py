"""Picture concepts on files: scores, and the scale that keeps false alarms at a stated share of benign pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from guardrail.detector import DetectorContext
from guardrail.errors import ConfigurationError, PictureError, PolicyError
from guardrail.evaluation.sets import read_set
from guardrail.inference import ModelStore
from guardrail.inference.clip import ClipEncoder, Vectors
from guardrail.policy import Policy
from guardrail.policy.schema import CalibratedSpec, CalibrationFile
from guardrail.records import LocalRegistry
from guardrail.settings import Settings
from guardrail.signals import Concept, GenerationRequest, Picture, Subject
from guardrail.taxonomy import Stage
from guardrail.vision.concepts.embedding import embedded, encoder
from guardrail.vision.concepts.learned import PictureConcept, learn
from guardrail.vision.decode import decode

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"})
LEAST_ALARMS = 3
"""Benign pictures that must be allowed to alarm: fewer, and the even point is one picture's luck."""
_SURE = 4.0
"""Logits between the even point and the middle of benign pictures: that one scores 0.02."""

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Looked:
    """Pictures as a CLIP sees them.

    Attributes:
        paths: of those that could be judged.
        vectors: (pictures, vector): the whole picture, or the first frame.
        refused: how many could not be judged.
    """

    paths: tuple[Path, ...]
    vectors: Vectors
    refused: int


def pictures_of(source: Path) -> list[Path]:
    """Picture files of a folder and the folders in it, or those that a JSONL set labels "allow".

    Raises:
        ConfigurationError: there is none, or the set does not parse.
    """
    if source.is_dir():
        found = sorted(item for item in source.rglob("*") if item.suffix.lower() in SUFFIXES and item.is_file())
    else:
        rows = read_set(source)
        found = [row.image for row in rows if row.image is not None and row.label == "allow"]
    if not found:
        raise ConfigurationError(
            f"{source} holds no picture", advice="Give a folder of pictures, or a set with rows labelled allow."
        )
    return found


class Looking:
    """A CLIP and the picture concepts of a policy, outside of any guard.

    Raises:
        PolicyError: the policy has no such concept.
        ConfigurationError: no CLIP is set.
        ModelError: it is missing or changed.
    """

    def __init__(self, policy: Policy, settings: Settings, only: str | None = None) -> None:
        self.concepts = tuple(item for item in policy.concepts if item.shown and only in (None, item.name))
        if not self.concepts:
            known = ", ".join(item.name for item in policy.concepts if item.shown) or "none"
            raise PolicyError(f"policy {policy.ref.name!r} has no such concept with `shown`; it has: {known}")
        store = ModelStore(settings)
        self._limits = settings.limits
        self._clip: ClipEncoder = encoder(DetectorContext(settings, store, LocalRegistry(settings)))
        self.digest = store.digest(self._clip.name)

    def look(self, paths: Sequence[Path], told: Told | None = None) -> Looked:
        """Embed pictures one by one.

        Args:
            paths: files.
            told: called with how many are done, of how many.

        Raises:
            DetectionError: the network failed.
        """
        kept, rows, refused = [], [], 0
        for at, path in enumerate(paths):
            try:
                decoded = decode(Picture(path.read_bytes()), self._limits)
            except (OSError, PictureError):
                refused += 1
            else:
                subject = Subject(Stage.OUTPUT, GenerationRequest(), picture=decoded)
                rows.append(embedded(subject, self._clip)[1][0])
                kept.append(path)
            if told:
                told(at + 1, len(paths))
        vectors = np.stack(rows) if rows else np.zeros((0, self._clip.spec.vector), np.float32)
        return Looked(tuple(kept), vectors, refused)

    def scores(self, concept: Concept, vectors: Vectors) -> NDArray[np.float64]:
        """(pictures,) scores of one concept.

        Raises:
            PolicyError: its scale is missing or stale.
        """
        return learn(concept, self._clip, self.digest, self._limits).scores(vectors)

    def calibrated(self, vectors: Vectors, rate: float | None = None) -> CalibrationFile:
        """The scale of every concept on benign pictures.

        Args:
            vectors: of benign pictures.
            rate: share that may reach 0.5; the policy's own `false_alarms` when None.

        Raises:
            ConfigurationError: too few pictures to set such a share.
            PolicyError: a concept contradicts itself.
        """
        found = {}
        for concept in self.concepts:
            assert concept.shown is not None
            share = rate or concept.shown.false_alarms
            if len(vectors) * share < LEAST_ALARMS:
                raise ConfigurationError(
                    f"{len(vectors)} pictures cannot set a false-alarm rate of {share:g} for {concept.name!r}",
                    advice=f"Give at least {math.ceil(LEAST_ALARMS / share)} benign pictures, or a higher --alarms.",
                )
            item = learn(concept, self._clip, self.digest, self._limits, bare=True)
            found[concept.name] = _scale(item, vectors, share)
        return CalibrationFile(schema="guardrail/calibration/v1", clip=self.digest, concepts=found)


def written(found: CalibrationFile) -> str:
    """The calibration as YAML."""
    text: str = yaml.safe_dump(found.model_dump(by_alias=True, mode="json"), sort_keys=False)
    return "# Written by `guardrail policy calibrate-concepts`; holds for one CLIP and one wording.\n" + text


def _scale(item: PictureConcept, vectors: Vectors, share: float) -> CalibratedSpec:
    parts = item.parts(vectors)
    scales = {name: (float(part.near.mean()), max(float(part.near.std()), 1e-6)) for name, part in parts.items()}
    near = {name: (part.near - scales[name][0]) / scales[name][1] for name, part in parts.items()}
    passing = [np.where(part.gate >= 0, near[name], -np.inf) for name, part in parts.items()]
    alarming = np.maximum.reduce(passing)
    middle = float(np.median(np.maximum.reduce(list(near.values()))))
    # one picture may not alarm at the even point itself, so half a step beyond it; look-alikes alone may keep the share
    even = max(float(np.nextafter(np.quantile(alarming, 1 - share, method="higher"), np.inf)), middle + 1.0)
    assert item.concept.shown is not None
    return CalibratedSpec(
        definition=item.concept.shown.digest,
        false_alarms=share,
        pictures=len(vectors),
        alarms=int((alarming >= even).sum()),
        even=even,
        slope=_SURE / (even - middle),
        words=scales.get("words", (0.0, 1.0)),
        examples=scales.get("examples", (0.0, 1.0)),
    )
