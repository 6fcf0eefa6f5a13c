"""Small types that cross the walls between rooms: what is judged, what was found, what was looked at.

Nothing here decides anything and nothing here is written to disk: `Prompt`, `Picture` and `DecodedPicture` hold
content and live only as long as the request does.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from guardrail.errors import DetectionError, PromptError
from guardrail.taxonomy import CONCEPT, Stage, is_signal

RGB = NDArray[np.uint8]
"""A picture as (height, width, 3) RGB, 0 to 255."""


class Role(StrEnum):
    """What an uploaded picture is for."""

    IMAGE = "image"
    MASK = "mask"
    MARKUP = "markup"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a signal comes from. Never holds text or pixels.

    Attributes:
        span: start and end offsets, in characters of the original text.
        box: x, y, width, height in pixels of the oriented picture.
        frame: 0-based frame of an animation.
        where: which part was looked at ("prompt", "negative", "lora", "exif", ...).
        view: which reading of the text or picture it was found in ("plain", "leet", "base64", "mirror", ...).
        ref: opaque id of a list entry, a person or a fingerprint.
        detail: stable short words, such as {"medium": "art"}; never free text from the caller.
    """

    span: tuple[int, int] | None = None
    box: tuple[int, int, int, int] | None = None
    frame: int | None = None
    where: str | None = None
    view: str | None = None
    ref: str | None = None
    detail: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form without empty fields."""
        found: dict[str, Any] = {}
        if self.span is not None:
            found["span"] = list(self.span)
        if self.box is not None:
            found["box"] = list(self.box)
        for key in ("frame", "where", "view", "ref"):
            value = getattr(self, key)
            if value is not None:
                found[key] = value
        if self.detail:
            found["detail"] = dict(self.detail)
        return found


@dataclass(frozen=True, slots=True)
class Signal:
    """A calibrated score for one taxonomy name.

    Attributes:
        name: a name from `guardrail.taxonomy.SIGNALS`.
        score: 0 to 1; 0.5 is the detector's own even point.
        detector: name of the detector that raised it.
        evidence: where it was found.

    Raises:
        DetectionError: unknown name, or a score that is not a number in [0, 1].
    """

    name: str
    score: float
    detector: str
    evidence: tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        if not is_signal(self.name):
            raise DetectionError(f"detector {self.detector!r} raised {self.name!r}, which is not in the taxonomy")
        if not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            raise DetectionError(f"detector {self.detector!r} gave {self.name} the score {self.score!r}, not in [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; the score is rounded to 4 places."""
        found: dict[str, Any] = {"name": self.name, "score": round(self.score, 4), "detector": self.detector}
        if self.evidence:
            found["evidence"] = [item.to_dict() for item in self.evidence]
        return found


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """A picture file of a policy, and the digest it had when the policy was loaded."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where the scale of a picture concept lies, found on benign pictures by `guardrail policy calibrate-concepts`.

    Attributes:
        clip: digest of the image tower it holds for.
        definition: `Shown.digest` it holds for.
        even: standardised nearness that scores 0.5.
        slope: logits per unit of it.
        words, examples: (mean, spread) of the nearness to words and to example pictures.
    """

    clip: str
    definition: str
    even: float
    slope: float
    words: tuple[float, float] = (0.0, 1.0)
    examples: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Shown:
    """How a concept looks in pictures.

    Attributes:
        like, unlike: words for what is and what is not meant.
        examples, unlike_examples: pictures of both.
        templates: sentences with a place for the words.
        false_alarms: share of benign pictures that may reach 0.5, for calibration.
        calibration: None when there is none.
    """

    like: tuple[str, ...]
    unlike: tuple[str, ...] = ()
    examples: tuple[ExampleFile, ...] = ()
    unlike_examples: tuple[ExampleFile, ...] = ()
    templates: tuple[str, ...] = ()
    false_alarms: float = 0.01
    calibration: Calibration | None = None

    @property
    def digest(self) -> str:
        """`sha256:…` of what is meant, without its scale."""
        pictures = [[item.sha256 for item in found] for found in (self.examples, self.unlike_examples)]
        content = json.dumps([self.like, self.unlike, pictures, self.templates])
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Concept:
    """A meaning that a policy gives by example.

    Attributes:
        name: as declared; rules read `concept.<name>`.
        like: sentences that mean it.
        unlike: sentences that look alike and do not mean it.
        file, line: where it is declared, for errors.
        shown: how it looks in pictures, or None.
    """

    name: str
    like: tuple[str, ...]
    unlike: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None
    shown: Shown | None = None

    @property
    def signal(self) -> str:
        """Name of the signal it raises."""
        return CONCEPT + self.name


PICTURE_PARTS = (
    "picture.trailing",
    "picture.texts",
    "picture.colour",
    "picture.exif",
    "picture.xmp",
    "picture.iptc",
    "picture.photoshop",
    "picture.icc",
    "picture.c2pa",
    "picture.jpeg",
    "picture.png",
    "picture.webp",
    "picture.gif",
    "picture.avif",
)
"""Parts of a picture's file that `Skip.what` may name: each as it stands, or followed by a colon and a place in it."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Something that was not inspected, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was inspected and what was not. An empty coverage means that nothing was looked at."""

    inspected: tuple[str, ...] = ()
    skipped: tuple[Skip, ...] = ()

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            tuple(dict.fromkeys(self.inspected + other.inspected)),
            tuple(dict.fromkeys(self.skipped + other.skipped)),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "inspected": list(self.inspected),
            "skipped": [{"what": item.what, "why": item.why} for item in self.skipped],
        }


@dataclass(frozen=True, slots=True, eq=False)
class FoundText:
    """Text that one detector read in a picture, for the detectors that judge texts. Content: it is never recorded.

    Attributes:
        signal: the signal to raise when the text instructs the machine.
        text: what it says, a line a line.
        evidence: where it was found.
        concealed: whether a person who looks at the picture would not see it.
        legible: of what is concealed, whether the picture shows it all the same, or nothing of it; None in between.
    """

    signal: str
    text: str
    evidence: Evidence
    concealed: bool = False
    legible: bool | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """What one detector returns for one subject.

    Attributes:
        signals: what it found.
        coverage: what it did and did not look at.
        texts: what it read, for detectors that run later.
    """

    signals: tuple[Signal, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    texts: tuple[FoundText, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text that goes to the generator.

    Attributes:
        text: what is asked for, up to the limit in the settings.
        negative: what must not appear (a negative prompt), kept apart.
        where: which field of the request it came from.
    """

    text: str
    negative: str = ""
    where: str = "prompt"

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not isinstance(self.negative, str):
            raise PromptError("a prompt must be text")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Encoded picture bytes exactly as they travel, not yet trusted."""

    data: bytes
    role: Role = Role.IMAGE
    where: str = "image"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a decoded picture.

    Attributes:
        index: 0-based position in the file.
        rgb: the frame as a viewer sees it, transparency laid over white.
        beneath: colours under transparent pixels, when they differ from what is seen; else None.
        seconds: how long an animation shows it; None if it is no frame of one, such as a thumbnail.
    """

    index: int
    rgb: RGB
    beneath: RGB | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedText:
    """Text found in a picture's container: untrusted data for the injection detector."""

    where: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPicture:
    """A picture after hostile decoding: sniffed, bounded, oriented.

    Attributes:
        source: the bytes it came from.
        format: "png", "jpeg", "webp", "gif" or "avif".
        width, height: of the oriented picture, in pixels.
        frames: every frame of the file, at least one.
        alpha: (height, width) of the first frame, or None when it has no transparency.
        indexed: where the first frame has a palette: the entry of each pixel as (height, width), and colours as (n, 3).
        texts: text found in the container.
        notes: what decoding could not look at.
        low: of samples of 16 bits in the first frame, what the lower bytes show where it is not the upper ones again:
            colours as (height, width[, 3]) by the name "low-byte", alpha as (height, width) by "low-byte-alpha".
        orientation: how stored pixels lie, 1 to 8 as in TIFF 6.0; frames are upright already.
    """

    source: Picture
    format: str
    width: int
    height: int
    frames: tuple[Frame, ...]
    alpha: NDArray[np.uint8] | None = None
    indexed: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
    texts: tuple[EmbeddedText, ...] = ()
    notes: tuple[Skip, ...] = ()
    low: tuple[tuple[str, NDArray[np.uint8]], ...] = ()
    orientation: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class GenerationRequest:
    """What a caller asks the generator for, whatever protocol it came by.

    Attributes:
        prompts: every text of the request.
        uploads: every picture of the request, masks and markup among them.
        operation: "generate", "edit", "variation" or "moderate".
        params: other fields, for policy scope; values are short scalars.
        actor: opaque key of who asks, hashed before it is recorded.
        tenant: whose deployment it is.
    """

    prompts: tuple[Prompt, ...] = ()
    uploads: tuple[Picture, ...] = ()
    operation: str = "generate"
    params: Mapping[str, str | int | float | bool] = field(default_factory=lambda: MappingProxyType({}))
    actor: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a detector is given: one prompt, or one picture, in its context.

    Attributes:
        stage: where in the request's life.
        request: the whole request.
        prompt: set at stage `prompt`.
        picture: set at stages `input` and `output`.
        prior: signals of earlier stages and cheaper detectors.
        found: texts that cheaper detectors read in the picture.
        memo: scratch space that lives with this subject, so that detectors of one room share work; keys start with
            the room's name.
    """

    stage: Stage
    request: GenerationRequest
    prompt: Prompt | None = None
    picture: DecodedPicture | None = None
    prior: tuple[Signal, ...] = ()
    found: list[FoundText] = field(default_factory=list)
    memo: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class FaceGallery:
    """Templates of enrolled people, unit length, row i belongs to ids[i]. `version` grows with every change."""

    version: int
    ids: tuple[str, ...]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ArchiveHit:
    """An entry of a large list that a hash lies within the distance of.

    Attributes:
        query: row of the hashes that were looked up.
        distance, limit: differing bits found, and allowed.
        id, bank: of the entry.
        inert: why the entry only flags ("rollout", "quarantine"), or None when it acts.
    """

    query: int
    distance: int
    limit: int
    id: str
    bank: str
    inert: str | None = None


class FingerprintArchive(Protocol):
    """A list too long for memory. Safe to search from several threads."""

    def __len__(self) -> int: ...

    def search(self, hashes: NDArray[np.uint8]) -> list[ArchiveHit]:
        """Live entries near any of (k, 32) hashes. Raises RecordError when the list cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteBank:
    """A bank that another service holds and is asked over HTTP, as hasher-matcher-actioner is.

    Attributes:
        name: of the bank here.
        url: base URL of the service.
        timeout_s: for one question.
        required: whether a picture closes when the service does not answer.
        token: bearer token, or None.
    """

    name: str
    url: str
    timeout_s: float = 2.0
    required: bool = True
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class FingerprintList:
    """Listed PDQ hashes as (n, 32) bytes with the distance each may be off by. `version` grows with every change.

    Attributes:
        owners: (n,) which of `ids` each hash belongs to, when entries have several; None: one each, in order.
        banks: the bank of each of `ids`.
        inert: entry -> why it only flags ("rollout", "quarantine").
        archive: further entries.
        remotes: banks to ask over HTTP.
        note: to be told which entry a picture matched, and its hash, so that floods are noticed.
    """

    version: int
    ids: tuple[str, ...]
    hashes: NDArray[np.uint8]
    distances: NDArray[np.int64]
    owners: NDArray[np.int64] | None = None
    banks: tuple[str, ...] = ()
    inert: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    archive: FingerprintArchive | None = None
    remotes: tuple[RemoteBank, ...] = ()
    note: Callable[[str, NDArray[np.uint8]], None] | None = None


@dataclass(frozen=True, slots=True)
class ListedName:
    """Somebody on the operator's list of names.

    Attributes:
        id: opaque; evidence and records hold it instead of the name.
        name: as it is usually written.
        aliases: other spellings, nicknames, handles.
        kind: "public", "private" or "staff".
        protected: whether to name this person raises `person.protected`, as an enrolled face does.
        born, died: years, negative before the common era, or None.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    kind: str = "private"
    protected: bool = False
    born: int | None = None
    died: int | None = None


@dataclass(frozen=True, slots=True)
class NameList:
    """The operator's list of names. `version` grows with every change."""

    version: int = 0
    names: tuple[ListedName, ...] = ()


def best_scores(signals: Iterable[Signal]) -> dict[str, float]:
    """Highest score per signal name."""
    best: dict[str, float] = {}
    for signal in signals:
        if signal.score > best.get(signal.name, -1.0):
            best[signal.name] = signal.score
    return best
