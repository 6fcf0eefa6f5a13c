"""Concepts in pictures, and everything else that reads a CLIP: one embedding a picture, shared by all."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.detector import Detector, DetectorContext
from guardrail.errors import ConfigurationError, PolicyError
from guardrail.signals import Concept
from guardrail.vision.concepts.detector import PictureConceptsDetector, UnseenConcepts
from guardrail.vision.concepts.embedding import encoder
from guardrail.vision.concepts.figures import FiguresDetector
from guardrail.vision.concepts.head import HeadsOnClip

__all__ = ["picture_detectors"]


def picture_detectors(
    context: DetectorContext, concepts: Sequence[Concept], needed: Sequence[Concept]
) -> tuple[Detector, ...]:
    """The detectors on a CLIP that settings and policy ask for; none when neither does.

    Args:
        context: settings name the CLIP.
        concepts: of the policy; those with a picture side are looked for.
        needed: those that a rule which acts reads from pictures.

    Raises:
        PolicyError: the policy needs a CLIP and none is set, or a concept's scale is not of this CLIP.
        ConfigurationError: heads or figures are set without a CLIP, or a head is unusable.
        ModelError: the CLIP is missing or changed.
    """
    settings, seen = context.settings, [concept for concept in concepts if concept.shown is not None]
    if settings.clip is None:
        if needed:
            raise PolicyError(
                f"concept {needed[0].name!r} is to be seen in pictures, and no CLIP is set",
                file=needed[0].file,
                line=needed[0].line,
                advice="Run `guardrail models export clip-vit-b-32 --int8` where the extra `export` is installed, and "
                "set GUARDRAIL_CLIP=clip-vit-b-32; or let the rule watch only (`mode: shadow`).",
            )
        if settings.clip_heads or settings.clip_people:
            raise ConfigurationError(
                "`clip_heads` and `clip_people` read a CLIP, and none is set",
                advice="Set `clip` to a model of `guardrail models list`.",
            )
        return (UnseenConcepts(seen),) if seen else ()
    if not seen and not settings.clip_heads and not settings.clip_people:
        return ()
    clip = encoder(context)
    found: list[Detector] = []
    if seen:
        found.append(PictureConceptsDetector(context, clip, seen))
    if settings.clip_heads:
        found.append(HeadsOnClip(context, clip))
    if settings.clip_people:
        found.append(FiguresDetector(context, clip))
    return tuple(found)
