"""The closed list of signal names, what each means, and how they map onto other vocabularies.

A signal keeps its name whether a prompt, an upload or an output raised it; the stage tells them apart.
Detectors may only emit names listed here, so a policy that refers to a name can be checked at load; the one open
family is `concept.`, whose names a policy declares itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Stage(StrEnum):
    """Where in a request's life something was looked at."""

    PROMPT = "prompt"
    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class SignalName:
    """One entry of the taxonomy.

    `openai` names the keys of the OpenAI moderation schema that the signal contributes to; `public` is the
    coarse category a refused caller is told.
    """

    name: str
    meaning: str
    public: str
    openai: tuple[str, ...] = ()


_ENTRIES = (
    SignalName("sexual.explicit", "sexual acts or genitals are asked for or shown", "sexual", ("sexual",)),
    SignalName("sexual.nudity", "a naked or partly naked body is asked for or shown", "sexual", ("sexual",)),
    SignalName("sexual.suggestive", "clothed but sexualised", "sexual"),
    SignalName("sexual.undress", "the request removes clothing from a depicted person", "sexual", ("sexual",)),
    SignalName(
        "minor.mention",
        "speaks of somebody under 18; 0.2 at most in a harmless scene",
        "minors",
    ),
    SignalName("minor.apparent", "a depicted person may be under 18", "minors"),
    SignalName("person.named", "a real person is named or pinned down by the text", "real_person"),
    SignalName("person.public_figure", "the named person is a known public figure", "real_person"),
    SignalName("person.private", "a private person is meant, by name pattern or relation", "real_person"),
    SignalName("person.depicted", "somebody is visible in the picture", "real_person"),
    SignalName("person.protected", "an enrolled, protected person is visible or named", "real_person"),
    SignalName("person.same_as_input", "a face of the upload is in the output", "real_person"),
    SignalName(
        "harm.degrading",
        "humiliates or demeans a person or a group",
        "harassment",
        ("harassment", "hate"),
    ),
    SignalName("harm.deceptive", "made to deceive: forged news, evidence or documents", "deception"),
    SignalName("harm.graphic", "gore, mutilation or torture", "violence", ("violence", "violence/graphic")),
    SignalName("injection.instruction", "an instruction aimed at the machine, not at the picture", "injection"),
    SignalName(
        "injection.concealed",
        "invisible or encoded text; below 0.5 unless it instructs",
        "injection",
    ),
    SignalName("injection.scaling", "text that appears only when the picture is scaled", "injection"),
    SignalName("injection.visible_text", "text in the picture that instructs the machine", "injection"),
    SignalName("injection.metadata", "text in the file's metadata or after its end", "injection"),
    SignalName("injection.code", "a QR or bar code that carries text", "injection"),
    SignalName("fingerprint.match", "the picture matches a listed fingerprint", "listed_picture"),
    SignalName("provenance.ai", "the picture says or shows that a model made it", "provenance"),
    SignalName("provenance.tampered", "the picture's provenance record does not verify", "provenance"),
    SignalName("edit.exposure_delta", "the edit shows more of a body than the upload did", "sexual", ("sexual",)),
    SignalName("edit.mask_over_person", "the edit's mask lies over a body or its clothing", "sexual"),
)

SIGNALS: Mapping[str, SignalName] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""Every signal name, in the order of the design page."""

OPENAI_CATEGORIES: tuple[str, ...] = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""The thirteen keys a moderation answer must carry."""

AZURE_CATEGORIES: Mapping[str, str] = MappingProxyType(
    {"sexual": "Sexual", "harassment": "Hate", "violence": "Violence"}
)
"""Public category -> Azure Content Safety category."""

REKOGNITION_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "sexual.explicit": "Explicit",
        "sexual.nudity": "Explicit Nudity",
        "sexual.suggestive": "Non-Explicit Nudity of Intimate parts and Kissing",
        "harm.graphic": "Graphic Violence",
    }
)
"""Signal name -> Amazon Rekognition moderation label."""

MLCOMMONS_HAZARDS: Mapping[str, str] = MappingProxyType(
    {
        "sexual.explicit": "S12",
        "sexual.nudity": "S12",
        "minor.mention": "S4",
        "minor.apparent": "S4",
        "person.private": "S7",
        "harm.degrading": "S10",
        "harm.deceptive": "S5",
        "harm.graphic": "S1",
    }
)
"""Signal name -> hazard of the MLCommons AILuminate taxonomy."""


CONCEPT = "concept."
"""What the names of signals begin with that a policy declares itself under `concepts`."""

_CONCEPT = re.compile(r"concept\.[a-z][a-z0-9_]{0,63}")


def is_signal(name: str) -> bool:
    """Whether `name` is in the taxonomy, or is the name of a policy's concept."""
    return name in SIGNALS or _CONCEPT.fullmatch(name) is not None


def nearest(name: str) -> str | None:
    """The signal name closest in spelling to `name`, or None when nothing is close."""
    close = difflib.get_close_matches(name, SIGNALS, n=1, cutoff=0.6)
    return close[0] if close else None


def public_category(name: str) -> str:
    """The coarse category a refused caller may be told for signal `name`; "policy" when unknown."""
    entry = SIGNALS.get(name)
    return entry.public if entry else "policy"
