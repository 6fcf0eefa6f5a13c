"""What a detector is, and how detectors are found.

A detector looks at one subject and returns scores with evidence. It never decides, never blocks, never logs content.
Third parties register a factory under the entry-point group `guardrail.detectors`; the built-in detectors are
registered the same way. `guardrail.testing.check_detector` holds a detector to the rules below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from guardrail.errors import DetectorError
from guardrail.settings import Settings
from guardrail.signals import Detection, FaceGallery, FingerprintList, GenerationRequest, NameList, Prompt, Subject
from guardrail.taxonomy import Stage, is_signal, nearest

ENTRY_POINT_GROUP = "guardrail.detectors"


class ModelSession(Protocol):
    """A loaded network. Safe to call from several threads at once."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs in the order of the manifest. Raises DetectionError when the runtime fails."""
        ...


class ModelProvider(Protocol):
    """Gives verified weights by the name of their manifest."""

    def session(self, name: str) -> ModelSession:
        """One session a model a process. Raises ModelMissingError, ModelIntegrityError, RuntimeMissingError."""
        ...

    def file(self, name: str, file: str | None = None) -> Path:
        """Path of a verified file of model `name`; its main weight file when `file` is None."""
        ...

    def digest(self, name: str) -> str:
        """`sha256:…` of the weights in use."""
        ...


class Registry(Protocol):
    """What has been enrolled or listed. Reads are cheap: implementations keep the current version in memory."""

    def faces(self) -> FaceGallery: ...

    def fingerprints(self) -> FingerprintList: ...

    def names(self) -> NameList: ...


@dataclass(frozen=True, slots=True)
class DetectorContext:
    """What a detector factory may use."""

    settings: Settings
    models: ModelProvider
    registry: Registry
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Example:
    """A subject with what the detector must make of it.

    Attributes:
        subject: what to look at.
        at_least: signal name -> lowest score that is right.
        below: signal name -> score that must not be reached (an absent signal scores 0).
        note: what the example shows.
    """

    subject: Subject
    at_least: Mapping[str, float] = field(default_factory=dict)
    below: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of_prompt(
        cls,
        text: str,
        *,
        at_least: Mapping[str, float] | None = None,
        below: Mapping[str, float] | None = None,
        note: str = "",
    ) -> Example:
        """An example that is a prompt without pictures."""
        prompt = Prompt(text)
        subject = Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt)
        return cls(subject, at_least or {}, below or {}, note)


@runtime_checkable
class Detector(Protocol):
    """One way of looking at a prompt or a picture.

    Attributes:
        name: dotted, room first ("text.lexicon"); unique in a process.
        stages: the stages it works at.
        emits: every signal name it may raise.
        cost_ms: typical CPU milliseconds per subject; the guard runs cheap detectors first.
        models: manifest names it needs.
    """

    @property
    def name(self) -> str: ...
    @property
    def stages(self) -> frozenset[Stage]: ...
    @property
    def emits(self) -> frozenset[str]: ...
    @property
    def cost_ms(self) -> float: ...
    @property
    def models(self) -> tuple[str, ...]: ...

    def detect(self, subject: Subject) -> Detection:
        """Scores with evidence. Called from several threads; must not keep the subject.

        Raises:
            DetectionError: it could not look; the guard then closes the verdict.
        """
        ...

    def examples(self) -> Sequence[Example]:
        """At least one subject that raises a signal and one that does not."""
        ...


DetectorFactory = Callable[[DetectorContext], Detector]


def check_shape(detector: Detector) -> None:
    """Hold a detector to the static rules.

    Raises:
        DetectorError: what is wrong, with the nearest right signal name where one is misspelt.
    """
    if not isinstance(detector, Detector):
        raise DetectorError(f"{type(detector).__name__} does not have every member of the Detector protocol")
    if "." not in detector.name or detector.name != detector.name.strip().lower():
        raise DetectorError(f"{detector.name!r} is not a dotted lower-case detector name")
    if not detector.emits or not detector.stages:
        raise DetectorError(f"{detector.name} must declare what it emits and at which stages")
    for name in detector.emits:
        if not is_signal(name):
            close = nearest(name)
            hint = f"; did you mean {close!r}?" if close else ""
            raise DetectorError(f"{detector.name} emits {name!r}, which is not in the taxonomy{hint}")
    if not detector.cost_ms > 0:
        raise DetectorError(f"{detector.name} must state its cost in milliseconds")


def discover() -> dict[str, DetectorFactory]:
    """Factories of every registered detector, by entry-point name, built-in ones among them.

    Raises:
        DetectorError: an entry point does not load, or two share a name.
    """
    found: dict[str, DetectorFactory] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in found:
            raise DetectorError(f"two packages register a detector named {point.name!r}")
        try:
            factory = point.load()
        except Exception as error:
            raise DetectorError(f"detector {point.name!r} ({point.value}) does not load: {error}") from error
        found[point.name] = factory
    return found


def build(context: DetectorContext, *, only: frozenset[str] | None = None) -> tuple[Detector, ...]:
    """Construct detectors, cheapest first.

    Args:
        context: what they may use.
        only: entry-point names to construct; None means all.

    Raises:
        DetectorError: a name in `only` is not registered, or a detector breaks the rules.
    """
    factories = discover()
    for name in only or ():
        if name not in factories:
            raise DetectorError(f"no detector named {name!r} is registered; there are: {', '.join(sorted(factories))}")
    detectors = [factory(context) for name, factory in factories.items() if only is None or name in only]
    for detector in detectors:
        check_shape(detector)
    return tuple(sorted(detectors, key=lambda item: (item.cost_ms, item.name)))
