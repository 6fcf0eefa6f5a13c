"""Edits: whether the person of an upload comes back with more of the body uncovered, and what a mask lies over.

Neither asks for the wording. Exposure is compared between the person in the upload and the same person in the output,
each in a crop around the body that the face's box gives, and in the whole picture: so it holds for outpainting
(the body is new), for a face put on another body, and for several uploads too.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from guardrail.detector import DetectorContext, Example, ModelProvider
from guardrail.errors import PictureError
from guardrail.signals import (
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    GenerationRequest,
    Picture,
    Role,
    Signal,
    Skip,
    Subject,
)
from guardrail.taxonomy import Stage
from guardrail.vision.bodies import around, covered
from guardrail.vision.combiner import NUDITY_HEADS, one_look
from guardrail.vision.decode import decode
from guardrail.vision.detect import YUNET, Face
from guardrail.vision.embed import SFACE
from guardrail.vision.exposure import IMAGE_SAFETY, OPEN_NSFW
from guardrail.vision.faces import MAX_EVIDENCE, PORTRAITS
from guardrail.vision.masks import Area, drawn, fitted, transparent
from guardrail.vision.matching import even_point
from guardrail.vision.pyramid import Level
from guardrail.vision.seen import MAX_JUDGED, Seen, seen
from guardrail.vision.uploads import UploadFaces, UploadMemory, shown

NAME = "vision.edits"
NEAR = 0.12
"""Cosine below the even point of `person.same_as_input` down to which a face is still followed here."""
MAX_FOLLOWED = 4
"""Faces of one frame whose bodies are compared, largest first."""
LEAST_GAIN = 1.5
"""Logits of nudity that an edit adds, for an even call."""
LEAST_AFTER = 0.25
"""Nudity afterwards for an even call: half of what makes one without an upload to compare with."""
LEAST_TOLD = 0.1
"""Score that a person must be bare enough for after an edit before anybody looks how bare they were."""
EVEN_COVERED = 0.3
"""Share of the chest, the belly or the hips under a mask that is an even call."""
COVERED_SPREAD = 0.08
UNSURE_MASK = 0.45
"""Highest score when a mask covers a body only if it is meant the other way round."""


def exposure(models: ModelProvider, level: Level, face: Face | None, least: float = 0.0) -> float:
    """How bare a level is, or the person of a face in it: the score of one look at that part, in [`least`, 1].

    Raises:
        DetectionError: a net failed or returned what is not a probability.
    """
    part = level
    if face is not None:
        height, width = level.rgb.shape[:2]
        box = around(face, width, height)
        if box is not None:
            x, y, wide, high = box
            part = Level(level.frame, np.ascontiguousarray(level.rgb[y : y + high, x : x + wide]))
    return one_look(models, part, least)


def delta(before: float, after: float) -> float:
    """Score in [0, 1] for how much barer a person is after an edit: even from `LEAST_GAIN` logits more, up to
    `LEAST_AFTER` or beyond. It rises with `after` and falls with `before`."""
    return _logistic(min(_logit(after) - _logit(before) - LEAST_GAIN, _logit(after) - _logit(LEAST_AFTER)))


def most(after: float) -> float:
    """The highest `delta` that a person who is so bare after an edit can have, however they were before it."""
    return delta(0.0, after)


def masked(share: float) -> float:
    """Score in [0, 1] for the share of a body's part that lies under a mask."""
    return _logistic((share - EVEN_COVERED) / COVERED_SPREAD)


class EditsDetector:
    """`edit.exposure_delta` at the output, `edit.mask_over_person` at the input, both only where there is an upload."""

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"edit.exposure_delta", "edit.mask_over_person"})
    # before vision.faces, which shares its faces: once that one finds somebody enrolled, nobody would look here
    cost_ms = 40.0
    models = (YUNET, SFACE, OPEN_NSFW, IMAGE_SAFETY, NUDITY_HEADS)

    def __init__(self, context: DetectorContext) -> None:
        self._models = context.models
        self._limits = context.settings.limits
        self._rate = context.settings.faces.false_matches
        self._uploads = UploadMemory.shared(context)

    def detect(self, subject: Subject) -> Detection:
        """Scores with boxes of the person in the picture that is judged.

        Raises:
            DetectionError: a net failed or returned what it must not.
        """
        if subject.stage is Stage.INPUT:
            return self._at_input(subject)
        return self._at_output(subject)

    def _at_input(self, subject: Subject) -> Detection:
        picture = subject.picture
        if picture is None or picture.source.role is not Role.IMAGE:
            return Detection(coverage=Coverage((f"{NAME}:masks=0",)))
        areas, skipped = self._areas(subject, picture)
        if not areas:
            return Detection(coverage=Coverage((f"{NAME}:masks=0",), skipped))
        hits: list[tuple[float, Evidence]] = []
        for item in seen(self._models, subject):
            height, width = item.level.rgb.shape[:2]
            for area, sure in areas:
                mask = fitted(area, width, height)
                for number, face in enumerate(item.faces[:MAX_JUDGED]):
                    score = masked(covered(mask, face))
                    if not sure:
                        score = max(score, min(UNSURE_MASK, masked(covered(~mask, face))))
                    hits.append((score, item.at(number)))
        return Detection(_signals("edit.mask_over_person", hits), Coverage((f"{NAME}:masks={len(areas)}",), skipped))

    def _areas(self, subject: Subject, picture: DecodedPicture) -> tuple[list[tuple[Area, bool]], tuple[Skip, ...]]:
        """What the request's masks let draw anew, each with whether its way round is certain."""
        found: list[tuple[Area, bool]] = []
        skipped: list[Skip] = []
        for mask in subject.request.uploads:
            if mask.role is Role.MASK:
                try:
                    found.append(drawn(decode(mask, self._limits), subject.request.params))
                except PictureError as error:
                    skipped.append(Skip(f"{NAME}:masks", f"a mask was refused: {error.reason}"))
        own = transparent(picture)
        if own is not None:
            found.append((own, True))
        return found, tuple(skipped)

    def _at_output(self, subject: Subject) -> Detection:
        sent = shown(subject.request.uploads)
        if not sent:
            return Detection(coverage=Coverage((f"{NAME}:uploads=0",)))
        hits: list[tuple[float, Evidence]] = []
        skipped: dict[Skip, None] = {}
        pictured = [item for item in seen(self._models, subject) if item.faces]
        uploads = self._uploads.faces(sent) if pictured else []
        for item in pictured:
            people = [(number, self._sources(item, number, sent, uploads)) for number in range(_followed(item))]
            if len(item.faces) > MAX_FOLLOWED:
                skipped[Skip(f"{NAME}:bodies", f"only the {MAX_FOLLOWED} largest faces of a frame are followed")] = None
            if not any(sources for _, sources in people):
                continue
            whole = exposure(self._models, item.level, None)
            for number, sources in people:
                if sources:
                    after = exposure(self._models, item.level, item.faces[number], whole)
                    hits.append((self._delta(sources, after), item.at(number)))
        coverage = Coverage((f"{NAME}:uploads={len(sent)}", f"{NAME}:followed={len(hits)}"), tuple(skipped))
        return Detection(_signals("edit.exposure_delta", hits), coverage)

    def _delta(self, sources: Sequence[tuple[Picture, int]], after: float) -> float:
        """The score of an edit, after which somebody is so bare, of the uploads and rows that show them before it.

        Where it is low whatever the uploads show, they are not looked at, and it is the highest it could be.
        """
        highest = most(after)
        if highest < LEAST_TOLD:
            return highest
        return delta(min(self._uploads.exposure(picture, row, exposure) for picture, row in sources), after)

    def _sources(
        self, item: Seen, number: int, sent: Sequence[Picture], uploads: Sequence[UploadFaces]
    ) -> list[tuple[Picture, int]]:
        """Each upload that shows the person of one face, and the row of theirs."""
        least = even_point(self._rate, max(1, sum(len(upload.vectors) for upload in uploads))) - NEAR
        sources = []
        for picture, upload in zip(sent, uploads, strict=True):
            if not len(upload.vectors):
                continue
            cosines = upload.vectors @ item.look(number).quick
            row = int(np.argmax(cosines))
            if cosines[row] >= least:
                sources.append((picture, row))
        return sources

    def examples(self) -> Sequence[Example]:
        """A public-domain portrait under a mask that covers the body, and the same portrait without a mask.

        Raises:
            ModelMissingError: the sample portraits were not pulled.
        """
        data = self._models.file(PORTRAITS, "astronaut.png").read_bytes()
        portrait = decode(Picture(data), self._limits)
        buffer = Image.new("L", (portrait.width, portrait.height), 0)
        buffer.paste(255, (0, portrait.height // 2, portrait.width, portrait.height))
        mask = Picture(_png(buffer), Role.MASK)
        return (
            Example(
                Subject(Stage.INPUT, GenerationRequest(uploads=(portrait.source, mask)), picture=portrait),
                at_least={"edit.mask_over_person": 0.8},
                note="a mask over the lower half of a portrait",
            ),
            Example(
                Subject(Stage.INPUT, GenerationRequest(uploads=(portrait.source,)), picture=portrait),
                below={"edit.mask_over_person": 0.5},
                note="no mask",
            ),
            Example(
                Subject(Stage.OUTPUT, GenerationRequest(uploads=(portrait.source,)), picture=portrait),
                below={"edit.exposure_delta": 0.5},
                note="an edit that changed nothing",
            ),
        )


def _followed(item: Seen) -> int:
    return min(len(item.faces), MAX_FOLLOWED)


def _signals(name: str, hits: list[tuple[float, Evidence]]) -> tuple[Signal, ...]:
    if not hits:
        return ()
    hits.sort(key=lambda hit: -hit[0])
    return (Signal(name, hits[0][0], NAME, tuple(evidence for _, evidence in hits[:MAX_EVIDENCE])),)


def _png(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def _logit(share: float) -> float:
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
