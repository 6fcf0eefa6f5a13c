"""How concepts of a policy look in pictures: words, example files and the scale that a calibration found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from guardrail.errors import PolicyError
from guardrail.policy.schema import CalibratedSpec, CalibrationFile, ShownSpec
from guardrail.policy.source import parse, read_file
from guardrail.signals import Calibration, Concept, ExampleFile, Shown

MAX_PICTURE_BYTES = 32 * 2**20


def shown(spec: ShownSpec, path: Path, file: str | None, line: int | None) -> Shown:
    """The pictures' side of a concept; example files are read once for their digest.

    Raises:
        PolicyError: an example cannot be read or is too large.
    """
    return Shown(
        like=tuple(spec.like),
        unlike=tuple(spec.unlike),
        examples=_files(spec.examples, path, file, line),
        unlike_examples=_files(spec.unlike_examples, path, file, line),
        templates=tuple(spec.templates),
        false_alarms=spec.false_alarms,
    )


def calibrations(name: str | None, path: Path, line: int | None) -> Mapping[str, Calibration]:
    """What a calibration file says of each concept.

    Args:
        name: as written in the policy; None means no file.
        path: of the policy.
        line: where it is written.

    Raises:
        PolicyError: the file does not load.
    """
    if name is None:
        return {}
    try:
        read = parse(CalibrationFile, read_file(path.parent / name))
    except PolicyError as error:
        raise PolicyError(
            f"calibration {name!r:.80} does not load: {error.message}",
            file=str(path),
            line=line,
            advice="Write it anew with `guardrail policy calibrate-concepts`.",
        ) from error
    return {concept: _scale(read.clip, found) for concept, found in read.concepts.items()}


def settled(concept: Concept) -> object:
    """What of a concept shapes a decision, for the digest of the policy."""
    seen = concept.shown
    if seen is None:
        return [concept.like, concept.unlike]
    scale = seen.calibration
    found = (
        None if scale is None else [scale.clip, scale.definition, scale.even, scale.slope, scale.words, scale.examples]
    )
    return [concept.like, concept.unlike, seen.digest, found]


def _scale(clip: str, found: CalibratedSpec) -> Calibration:
    return Calibration(clip, found.definition, found.even, found.slope, found.words, found.examples)


def _files(names: Sequence[str], path: Path, file: str | None, line: int | None) -> tuple[ExampleFile, ...]:
    found = []
    for name in names:
        try:
            target = (path.parent / name).resolve()
            if not target.is_file() or target.stat().st_size > MAX_PICTURE_BYTES:
                raise PolicyError(f"example {name!r:.80} is not a file of at most {MAX_PICTURE_BYTES >> 20} MB")
            with target.open("rb") as picture:
                found.append(ExampleFile(str(target), hashlib.file_digest(picture, "sha256").hexdigest()))
        except (OSError, ValueError, PolicyError) as error:
            raise PolicyError(f"example {name!r:.80} cannot be read", file=file, line=line) from error
    return tuple(found)
