"""Faces: that somebody is there, whether they are protected, whether the upload shows them, how old they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from guardrail.detector import DetectorContext, Example
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
from guardrail.vision.age import AGE, LEAST_AGE_SIDE, apparent_age, youth
from guardrail.vision.decode import decode
from guardrail.vision.detect import YUNET
from guardrail.vision.embed import SFACE
from guardrail.vision.gallery import FaceIndex, GalleryMemory
from guardrail.vision.matching import even_point, likeness
from guardrail.vision.nets import Tensor
from guardrail.vision.seen import MAX_JUDGED, Seen, seen
from guardrail.vision.uploads import UploadFaces, UploadMemory

NAME = "vision.faces"
PORTRAITS = "sample-portraits"
MAX_EVIDENCE = 16
SEEN_SIDE = 12.0
"""Pixels of the reduced picture below which few faces are found; the coverage tells them in the picture's own."""
CLEAR = 0.06
"""Distance of a quick cosine from the even point beyond which the second flip does not bring it across: of 12,811
labelled pairs none moved by more than 0.049."""


@dataclass(slots=True)
class _Found:
    """What is gathered over the frames: (score, evidence) by signal name, and what was left out."""

    hits: dict[str, list[tuple[float, Evidence]]] = field(default_factory=dict)
    skipped: dict[Skip, None] = field(default_factory=dict)

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

    The even points of both comparisons come from the false-match rates of the settings (`faces`) and from the number of
    faces compared with. `minor.apparent` is only ever a reason for more care: its absence says nothing about anybody's
    age.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"person.depicted", "person.protected", "person.same_as_input", "minor.apparent"})
    cost_ms = 45.0
    models = (YUNET, SFACE, AGE)

    def __init__(self, context: DetectorContext) -> None:
        self._models = context.models
        self._registry = context.registry
        self._settings = context.settings
        self._uploads = UploadMemory.shared(context)
        self._gallery = GalleryMemory()

    def detect(self, subject: Subject) -> Detection:
        """Scores with boxes in pixels of the upright picture.

        Raises:
            DetectionError: a net failed or returned what it must not.
            RecordError: the gallery cannot be read.
        """
        pictured = seen(self._models, subject)
        if subject.stage is Stage.INPUT and subject.picture is not None:
            self._uploads.note(subject.picture.source, pictured)
        index = self._gallery.index(self._registry.faces())
        some = any(item.faces for item in pictured)
        uploads: list[UploadFaces] = []
        if some and subject.stage is Stage.OUTPUT:
            uploads = self._uploads.faces(subject.request.uploads)
        sent = [upload.vectors for upload in uploads if len(upload.vectors)]
        vectors = np.concatenate(sent) if sent else None
        found = _Found()
        for item in pictured:
            if len(item.faces) + item.more > MAX_JUDGED:
                found.skip("faces", f"only the {MAX_JUDGED} largest faces of a frame are recognised and aged")
            for number, face in enumerate(item.faces):
                found.add("person.depicted", face.score, item.at(number))
            for number in range(min(len(item.faces), MAX_JUDGED)):
                self._judge(item, number, index, vectors, found)
        for upload in uploads:
            if upload.missing:
                found.skip("uploads", upload.missing)
        total = sum(len(item.faces) + item.more for item in pictured)
        inspected = [f"{NAME}:frames={len({item.level.frame for item in pictured})}", f"{NAME}:faces={total}"]
        least = max((SEEN_SIDE / item.level.scale for item in pictured), default=SEEN_SIDE)
        inspected.append(f"{NAME}:least={least:.0f}px")
        if index.size:
            inspected.append(f"{NAME}:gallery={len(set(index.gallery.ids))}")
        return Detection(found.signals(), Coverage(tuple(inspected), tuple(found.skipped)))

    def _judge(self, item: Seen, number: int, index: FaceIndex, sent: Tensor | None, found: _Found) -> None:
        face = item.faces[number]
        if min(face.box[2:]) < LEAST_AGE_SIDE:
            found.skip("age", f"a face smaller than {LEAST_AGE_SIDE:.0f} pixels has no readable age")
        else:
            found.add("minor.apparent", youth(apparent_age(self._models, item.level.rgb, face)), item.at(number))
        if not index.size and sent is None:
            return
        look = item.look(number)
        if index.size:
            even = even_point(self._settings.faces.false_identifications, index.size)
            cosine, who = index.best(look.quick)
            if abs(cosine - even) < CLEAR:
                cosine, who = index.best(look.full)
            found.add("person.protected", likeness(cosine, even), item.at(number, who))
        if sent is not None:
            even = even_point(self._settings.faces.false_matches, len(sent))
            cosine = float((sent @ look.quick).max())
            if abs(cosine - even) < CLEAR:
                cosine = float((sent @ look.full).max())
            found.add("person.same_as_input", likeness(cosine, even), item.at(number))

    def examples(self) -> Sequence[Example]:
        """A public-domain portrait, and a flat grey picture.

        Raises:
            ModelMissingError: the sample portraits were not pulled.
        """
        data = self._models.file(PORTRAITS, "astronaut.png").read_bytes()
        portrait = decode(Picture(data), self._settings.limits)
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
                Subject(Stage.OUTPUT, GenerationRequest(uploads=(Picture(data),)), picture=portrait),
                at_least={"person.same_as_input": 0.9},
                note="the portrait that was sent comes back",
            ),
            Example(
                Subject(Stage.OUTPUT, GenerationRequest(), picture=empty), below={"person.depicted": 0.5}, note="grey"
            ),
        )
