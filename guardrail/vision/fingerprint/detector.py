"""`fingerprint.match`: every frame against the takedown list and the banks of other services."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
from guardrail.vision.fingerprint.card import CANARY_ID, canary
from guardrail.vision.fingerprint.index import ListIndex, Match
from guardrail.vision.fingerprint.pdq import TURNS, dihedral, luma
from guardrail.vision.fingerprint.remote import RemoteBanks
from guardrail.vision.fingerprint.views import middle, shown, stripped
from guardrail.vision.pyramid import Level, pyramid

NAME = "vision.fingerprint"
GOOD_QUALITY = 50
"""PDQ quality (0 to 100) below which its authors advise not to match; here half of an entry's distance counts."""
LEAST_QUALITY = 10
"""PDQ quality below which a picture is flat and its hash says nothing."""
FALL = 0.05
"""Score lost per bit beyond an entry's distance, from 0.5."""
INERT = 0.4
"""Score of a match with an entry that only flags: below the even point."""
_MOST_EVIDENCE = 8
_ASKED = ("plain", "mirror", "stripped")


class Views(NamedTuple):
    """What a picture is looked up as.

    Attributes:
        hashes: (16 or 24, 32) packed, the plain one first.
        names: of cut and turn, one a hash.
        quality: of the plain one, 0 to 100.
    """

    hashes: NDArray[np.uint8]
    names: tuple[str, ...]
    quality: int

    @property
    def asked(self) -> list[int]:
        """Rows that other services are asked about: the picture, its mirror image, and the picture without frame."""
        return [row for row, name in enumerate(self.names) if name in _ASKED]


class FingerprintDetector:
    """`fingerprint.match` for a picture on the takedown list, in any of its eight turns and mirrorings.

    The score is 1 at or within an entry's own distance, 0.45 one bit beyond it, and falls to 0 ten bits beyond.
    Entries that only flag, because their bank is being rolled out or they matched a flood of pictures, give 0.4.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"fingerprint.match"})
    cost_ms = 14.0
    models: tuple[str, ...] = ()

    def __init__(self, context: DetectorContext) -> None:
        self._registry = context.registry
        self._lock = threading.Lock()
        self._index: ListIndex | None = None
        self._remote = RemoteBanks()

    def detect(self, subject: Subject) -> Detection:
        """The best match over all frames.

        Raises:
            DetectionError: the subject has no picture, or a bank that is required does not answer.
            RecordError: the list cannot be read.
        """
        listed = self._registry.fingerprints()
        index = self._current(listed)
        levels = pyramid(subject)
        found: list[tuple[Match, str, Level]] = []
        skipped: dict[Skip, None] = {}
        for level in levels:
            views = views_of(level, framed=bool(index.entries or listed.remotes), lettered=index.pictures)
            if views.quality < LEAST_QUALITY:
                skipped[Skip(NAME, "a flat frame has no telling fingerprint")] = None
                continue
            strict = views.quality < GOOD_QUALITY
            if strict:
                skipped[Skip(NAME, "a frame with few features is matched within half the distance only")] = None
            matches = index.nearest(views.hashes, strict=strict)
            if listed.remotes and not strict:
                answered, silent = self._remote.ask(listed.remotes, views.hashes, views.asked)
                matches += answered
                skipped.update(dict.fromkeys(Skip(f"{NAME}:{name}", "the bank does not answer") for name in silent))
            found += [(match, views.names[match.query], level) for match in matches]
            _note(listed, matches, views)
        inspected = [f"{NAME}:frames={len({level.frame for level in levels})}", f"{NAME}:listed={index.entries}"]
        inspected += [f"{NAME}:bank={remote.name}" for remote in listed.remotes]
        return Detection(_signals(found), Coverage(tuple(inspected), tuple(skipped)))

    def _current(self, listed: FingerprintList) -> ListIndex:
        with self._lock:
            if self._index is None or self._index.version != listed.version:
                self._index = ListIndex(listed)
            return self._index

    def examples(self) -> Sequence[Example]:
        """The test card that is always listed, and another drawing."""
        other = np.ascontiguousarray(np.roll(canary(), 90, axis=1)[::-1, :, ::-1] // 2)
        return (
            Example(_shown(canary()), at_least={"fingerprint.match": 1.0}, note="the test card"),
            Example(_shown(other), below={"fingerprint.match": 0.5}, note="another drawing"),
        )


def views_of(level: Level, *, framed: bool = True, lettered: bool = True) -> Views:
    """The hashes of a frame, each in eight turns.

    Args:
        level: the frame.
        framed: also without what frames it, when something does.
        lettered: also its middle, without lettering at top and bottom; only entries listed as pictures have it.
    """
    whole = shown(level)
    plain = luma(whole)
    hashes, quality = dihedral(plain)
    parts, names = [hashes], [*TURNS]
    inner = stripped(whole) if framed else None
    bare = plain if inner is None else luma(inner)
    for cut, picture in (("stripped", None if inner is None else bare), ("middle", middle(bare) if lettered else None)):
        if picture is not None:
            parts.append(dihedral(picture)[0])
            names += [cut if turn == "plain" else f"{cut}-{turn}" for turn in TURNS]
    return Views(np.concatenate(parts), tuple(names), quality)


def _note(listed: FingerprintList, matches: list[Match], views: Views) -> None:
    if listed.note is None:
        return
    elsewhere = {remote.name for remote in listed.remotes}
    for match in matches:
        if match.beyond <= 0 and match.id != CANARY_ID and match.bank not in elsewhere:
            listed.note(match.id, views.hashes[0])


def _signals(found: list[tuple[Match, str, Level]]) -> tuple[Signal, ...]:
    scored = [(_score(match), match, view, level) for match, view, level in found]
    scored = sorted((item for item in scored if item[0] > 0), key=lambda item: -item[0])
    if not scored:
        return ()
    best = scored[0][0]
    shown_ = [item for item in scored if item[0] == best or item[1].inert is not None][:_MOST_EVIDENCE]
    return (Signal("fingerprint.match", best, NAME, tuple(_evidence(*item[1:]) for item in shown_)),)


def _score(match: Match) -> float:
    if match.inert is not None:
        return INERT
    return 1.0 if match.beyond <= 0 else max(0.0, 0.5 - FALL * match.beyond)


def _evidence(match: Match, view: str, level: Level) -> Evidence:
    detail = {"distance": str(match.distance)}
    if match.bank:
        detail["bank"] = match.bank
    if match.inert is not None:
        detail["inert"] = match.inert
    return Evidence(frame=level.frame, view=level.view or view, ref=match.id, detail=detail)


def _shown(rgb: NDArray[np.uint8]) -> Subject:
    picture = DecodedPicture(Picture(b""), "png", rgb.shape[1], rgb.shape[0], (Frame(0, rgb),))
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
