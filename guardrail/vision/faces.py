"""Faces: that somebody is there, whether they are protected, whether the upload shows them, how old they look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from guardrail.detector import DetectorContext, Example, ModelProvider
from guardrail.errors import PictureError
from guardrail.signals import (
    RGB,
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    FaceGallery,
    Frame,
    GenerationRequest,
    Picture,
    Signal,
    Skip,
    Subject,
)
from guardrail.taxonomy import Stage
from guardrail.vision.align import EMBED_POINTS, EMBED_SIDE, chip
from guardrail.vision.decode import decode
from guardrail.vision.detect import YUNET, Face, find
from guardrail.vision.embed import AGE, SFACE, apparent_age, embed
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import Level, pyramid
from guardrail.vision.uploads import UploadFaces, UploadMemory

NAME = "vision.faces"
PORTRAITS = "sample-portraits"

PROTECTED_EVEN = 0.42
"""Cosine that is an even call against a gallery: reached by about 1 in 10,000 labelled pairs of different people."""
SAME_EVEN = 0.36
"""Cosine that is an even call between one upload and one output: 1 in 1,000 pairs of different people."""
COSINE_SLOPE = 15.0
"""Logits per unit of cosine: 0.36 becomes 0.29 and 0.50 becomes 0.77 around 0.42."""
AGE_EVEN = 20.0
"""Apparent years that are an even call: two above the age that matters, since the net errs by years."""
AGE_SPREAD = 3.6
"""Years per logit: 25 apparent years become 0.2."""
LEAST_AGE_SIDE = 20.0
"""Pixels of a face's box below which an apparent age is noise."""
MAX_JUDGED = 16
"""Faces of one frame that are embedded and aged, largest first."""
MAX_EVIDENCE = 16

LEAST_TEMPLATE_SIDE = 48.0
LEAST_TEMPLATE_SCORE = 0.75
LEAST_SHARPNESS = 20.0
"""Variance of the Laplacian of the 112 pixel grey chip, in levels squared."""
MOST_TURN = 0.6
"""Nose's distance from the middle of the eyes, in eye distances, beyond which a face is turned too far to enrol."""


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def likeness(cosine: float, even: float) -> float:
    """Score in [0, 1] for a cosine between two templates, 0.5 at `even`."""
    return _logistic(COSINE_SLOPE * (cosine - even))


def youth(years: float) -> float:
    """Score in [0, 1] for an apparent age: 0.5 at 20, 0.2 at 25, above 0.5 below 20."""
    return _logistic((AGE_EVEN - years) / AGE_SPREAD)


class FaceEngine:
    """Find and embed faces with the bundled nets. Safe for several threads."""

    def __init__(self, models: ModelProvider) -> None:
        self._models = models

    def find(self, rgb: RGB) -> list[Face]:
        """Faces of a (height, width, 3) RGB picture, largest first. Raises DetectionError."""
        return find(self._models, rgb)[0]

    def embed(self, rgb: RGB, face: Face) -> Tensor:
        """(128,) float32 template, unit length. Raises DetectionError."""
        return embed(self._models, rgb, face)


def template(models: ModelProvider, decoded: DecodedPicture) -> Tensor:
    """The template of the one face a picture shows, for enrolment.

    Returns:
        (128,) float32, unit length.

    Raises:
        PictureError: reason "no_face", "several_faces", or "poor_face" for one too small, turned, blurred or doubtful.
        DetectionError: a net failed.
    """
    rgb = decoded.frames[0].rgb
    faces, _ = find(models, rgb)
    if not faces:
        raise PictureError("no face was found", reason="no_face", advice="Send a portrait with the face in plain view.")
    if len(faces) > 1:
        raise PictureError(
            f"{len(faces)} faces were found", reason="several_faces", advice="Crop the picture to one person."
        )
    fault = _poor(rgb, faces[0])
    if fault:
        raise PictureError(
            f"the face is {fault}", reason="poor_face", advice="Send a larger, sharper frontal portrait."
        )
    return embed(models, rgb, faces[0])


def _poor(rgb: RGB, face: Face) -> str:
    if min(face.box[2:]) < LEAST_TEMPLATE_SIDE:
        return "too small"
    if face.score < LEAST_TEMPLATE_SCORE:
        return "doubtful"
    left, right, nose = face.points[0], face.points[1], face.points[2]
    apart = float(np.linalg.norm(right - left))
    along = float((nose - (left + right) / 2) @ (right - left)) / max(apart, 1e-6)
    if abs(along) > MOST_TURN * apart:
        return "turned away"
    grey = chip(rgb, face.points, EMBED_POINTS, EMBED_SIDE).mean(axis=2)
    edges = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return "blurred" if float(edges.var()) < LEAST_SHARPNESS else ""


@dataclass(slots=True)
class _Found:
    """What is gathered over the frames: (score, evidence) by signal name, and what was left out."""

    hits: dict[str, list[tuple[float, Evidence]]] = field(default_factory=dict)
    skipped: dict[Skip, None] = field(default_factory=dict)
    faces: int = 0

    def add(self, name: str, score: float, evidence: Evidence) -> None:
        self.hits.setdefault(name, []).append((score, evidence))

    def skip(self, what: str, why: str) -> None:
        self.skipped[Skip(f"{NAME}:{what}", why)] = None

    def signals(self) -> tuple[Signal, ...]:
        made = []
        for name, hits in sorted(self.hits.items()):
            hits.sort(key=lambda hit: -hit[0])
            made.append(Signal(name, hits[0][0], NAME, tuple(evidence for _, evidence in hits[:MAX_EVIDENCE])))
        return tuple(made)


class FacesDetector:
    """`person.depicted`, `person.protected`, `person.same_as_input` and `minor.apparent`, over every frame.

    `minor.apparent` is only ever a reason for more care: its absence says nothing about anybody's age.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"person.depicted", "person.protected", "person.same_as_input", "minor.apparent"})
    cost_ms = 45.0
    models = (YUNET, SFACE, AGE)

    def __init__(self, context: DetectorContext) -> None:
        self._models = context.models
        self._registry = context.registry
        self._limits = context.settings.limits
        self._uploads = UploadMemory(context.models, context.settings.limits)

    def detect(self, subject: Subject) -> Detection:
        """Scores with boxes in pixels of the upright picture.

        Raises:
            DetectionError: a net failed or returned what it must not.
        """
        levels = pyramid(subject)
        gallery = self._registry.faces()
        uploads: list[UploadFaces] | None = None
        found = _Found()
        for level in levels:
            faces, more = find(self._models, level)
            found.faces += len(faces) + more
            if len(faces) + more > MAX_JUDGED:
                found.skip("faces", f"only the {MAX_JUDGED} largest faces of a frame are recognised and aged")
            if faces and uploads is None and subject.stage is Stage.OUTPUT:
                uploads = self._uploads.faces(subject.request.uploads)
            for face in faces:
                found.add("person.depicted", face.score, _at(level, face))
            for face in faces[:MAX_JUDGED]:
                self._judge(level, face, gallery, uploads or [], found)
        for upload in uploads or []:
            if upload.missing:
                found.skip("uploads", upload.missing)
        inspected = [f"{NAME}:frames={len({level.frame for level in levels})}", f"{NAME}:faces={found.faces}"]
        if len(gallery.ids):
            inspected.append(f"{NAME}:gallery={len(set(gallery.ids))}")
        return Detection(found.signals(), Coverage(tuple(inspected), tuple(found.skipped)))

    def _judge(
        self, level: Level, face: Face, gallery: FaceGallery, uploads: Sequence[UploadFaces], found: _Found
    ) -> None:
        if min(face.box[2:]) < LEAST_AGE_SIDE:
            found.skip("age", f"a face smaller than {LEAST_AGE_SIDE:.0f} pixels has no readable age")
        else:
            years = apparent_age(self._models, level.rgb, face)
            found.add("minor.apparent", youth(years), _at(level, face))
        sent = [upload.vectors for upload in uploads if len(upload.vectors)]
        if not len(gallery.ids) and not sent:
            return
        vector = embed(self._models, level.rgb, face)
        if len(gallery.ids):
            cosines = gallery.vectors @ vector
            best = int(np.argmax(cosines))
            evidence = _at(level, face, gallery.ids[best])
            found.add("person.protected", likeness(float(cosines[best]), PROTECTED_EVEN), evidence)
        if sent:
            cosine = max(float((vectors @ vector).max()) for vectors in sent)
            found.add("person.same_as_input", likeness(cosine, SAME_EVEN), _at(level, face))

    def examples(self) -> Sequence[Example]:
        """A public-domain portrait, and a flat grey picture.

        Raises:
            ModelMissingError: the sample portraits were not pulled.
        """
        data = self._models.file(PORTRAITS, "astronaut.png").read_bytes()
        portrait = decode(Picture(data), self._limits)
        grey = np.full((128, 128, 3), 128, dtype=np.uint8)
        empty = DecodedPicture(Picture(b""), "png", 128, 128, (Frame(0, grey),))
        return (
            Example(
                Subject(Stage.OUTPUT, GenerationRequest(), picture=portrait),
                at_least={"person.depicted": 0.8},
                below={"minor.apparent": 0.5},
                note="a portrait of an adult",
            ),
            Example(
                Subject(Stage.OUTPUT, GenerationRequest(), picture=empty), below={"person.depicted": 0.5}, note="grey"
            ),
        )


def _at(level: Level, face: Face, ref: str | None = None) -> Evidence:
    height, width = level.rgb.shape[:2]
    return Evidence(box=face.inside(width, height), frame=level.frame, view=level.view, ref=ref)
