"""One embedding a picture: made once a subject, whoever asks first."""

from __future__ import annotations

import numpy as np

from guardrail.detector import DetectorContext
from guardrail.errors import ConfigurationError
from guardrail.inference.clip import ClipEncoder, Vectors
from guardrail.inference.export.backend import TorchModels
from guardrail.signals import RGB, Subject
from guardrail.vision.pyramid import Level, pyramid

TEMPLATES = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "a drawing of {}",
    "a painting of {}",
    "a rendering of {}",
    "a close-up of {}",
)
"""Sentences around the words of a concept; their vectors are averaged, as Radford et al. 2021 do."""

_MEMO = "vision.clip"


def encoder(context: DetectorContext) -> ClipEncoder:
    """The encoder that the settings name.

    Raises:
        ConfigurationError: no CLIP is set, or the torch backend is not installed.
        ModelError: it is missing, changed, or does not answer what it answered when exported.
    """
    settings = context.settings
    if settings.clip is None:
        raise ConfigurationError("no CLIP is set", advice="Set `clip` to a model of `guardrail models list`.")
    models = context.models
    if settings.clip_backend == "torch":
        models = TorchModels(models, settings.clip_device)
    return ClipEncoder(models, settings.clip)


def embedded(subject: Subject, clip: ClipEncoder) -> tuple[tuple[Level, ...], Vectors]:
    """Every level of the subject's picture and its (levels, vector) unit vectors, shared through `subject.memo`.

    Raises:
        DetectionError: no picture, or the network failed.
    """
    levels = pyramid(subject)
    found: Vectors | None = subject.memo.get(_MEMO)
    if found is None:
        found = subject.memo[_MEMO] = clip.images([level.base for level in levels])
    return levels, found


def embed_picture(clip: ClipEncoder, rgb: RGB) -> Vectors:
    """(vector,) of one picture, reduced as `embedded` reduces it."""
    found: Vectors = clip.images([Level(0, rgb).base])[0]
    return found


def phrase_vectors(clip: ClipEncoder, phrases: tuple[str, ...], templates: tuple[str, ...] = TEMPLATES) -> Vectors:
    """(phrases, vector) unit vectors: each phrase in every template, averaged."""
    if not phrases:
        return np.zeros((0, clip.spec.vector), np.float32)
    every = clip.texts([template.format(phrase) for phrase in phrases for template in templates])
    mean = every.reshape(len(phrases), len(templates), -1).mean(axis=1)
    found: Vectors = (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return found
