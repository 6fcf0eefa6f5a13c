"""What an operator's classifier on CLIP embeddings computes: dense layers, or distances to concept vectors."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guardrail.errors import ModelIntegrityError
from guardrail.inference.arrays import Arrays
from guardrail.inference.clip import Vectors

PER_COSINE = 100.0
"""Logits per unit of cosine of the distance kind, before the settings' own scale."""
CARE = 0.01
"""What a picture near a concept of special care is moved nearer to the others, as in the diffusers safety checker."""

_NUMBERS = re.compile(r"\d+")
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """Layers with ReLU between; the last gives logits.

    Attributes:
        layers: ((outputs, inputs), (outputs,)) of each.
        mean, spread: taken off and divided by first; zeros and ones when the file has none.
    """

    layers: tuple[tuple[Matrix, Matrix], ...]
    mean: Matrix
    spread: Matrix

    @property
    def outputs(self) -> int:
        """How many logits there are."""
        return int(self.layers[-1][0].shape[0])

    def logits(self, vectors: Vectors) -> Vectors:
        """(rows, outputs)."""
        found: Vectors = (vectors - self.mean) / self.spread
        for at, (weight, bias) in enumerate(self.layers):
            found = found @ weight.T + bias
            if at + 1 < len(self.layers):
                found = np.maximum(found, 0)
        return np.asarray(found, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """Cosines to concept vectors, each with its own even point.

    Attributes:
        vectors, even: (concepts, vector) of unit length and (concepts,).
        care, care_even: of concepts that only move the others nearer.
    """

    vectors: Matrix
    even: Matrix
    care: Matrix
    care_even: Matrix

    @property
    def outputs(self) -> int:
        """One: the nearest concept."""
        return 1

    def logits(self, vectors: Vectors) -> Vectors:
        """(rows, 1): how far the nearest concept is beyond its even point."""
        beyond = vectors @ self.vectors.T - self.even
        if len(self.care):
            near = (vectors @ self.care.T - self.care_even > 0).any(axis=1, keepdims=True)
            beyond = beyond + CARE * near
        return np.asarray(PER_COSINE * beyond.max(axis=1, keepdims=True), np.float32)


def linear(arrays: Arrays, width: int, name: str) -> Dense:
    """`weight` (outputs, width) or (width,), and `bias`.

    Raises:
        ModelIntegrityError: an array is missing or of another shape.
    """
    return _dense(arrays, [_pair(arrays, "weight", "bias", name)], width, name)


def mlp(arrays: Arrays, width: int, name: str) -> Dense:
    """Every pair `….weight` and `….bias` (or `….kernel`, stored the other way round), in the order of their numbers.

    `mean` and `variance` of a normalisation before the first layer are used when they are there.

    Raises:
        ModelIntegrityError: the shapes do not follow each other from `width` on.
    """
    found = []
    for key in sorted(arrays, key=_order):
        stem, _, kind = key.rpartition(".")
        if kind in ("weight", "kernel"):
            weight, bias = _pair(arrays, key, f"{stem}.bias", name)
            found.append((weight.T if kind == "kernel" else weight, bias))
    if not found:
        raise ModelIntegrityError(f"{name} has no layer: arrays must be called `0.weight`, `0.bias`, `2.weight`, …")
    return _dense(arrays, found, width, name)


def distances(
    arrays: Arrays, width: int, name: str, drop: tuple[int, ...], vectors: Vectors, even: tuple[float, ...]
) -> Distances:
    """`concept_embeds` and `concept_embeds_weights`, with `special_care_embeds` and their weights if there are any.

    Args:
        arrays: of the file, as the diffusers safety checker names them.
        width: of the CLIP's vectors.
        name: for messages.
        drop: positions of concepts that are left out.
        vectors: (added, width) of further concepts.
        even: cosine that is even, of each.

    Raises:
        ModelIntegrityError: an array is missing or of another shape, or no concept is left.
    """
    care, care_even = np.zeros((0, width), np.float32), np.zeros(0, np.float32)
    own, own_even = _pair(arrays, "concept_embeds", "concept_embeds_weights", name)
    if "special_care_embeds" in arrays:
        care, care_even = _pair(arrays, "special_care_embeds", "special_care_embeds_weights", name)
    if own.shape[1] != width or care.shape[1] != width or not all(0 <= item < len(own) for item in drop):
        raise ModelIntegrityError(f"{name} is for vectors of {own.shape[1]}, not {width}, or `drop` names no concept")
    kept = [at for at in range(len(own)) if at not in drop]
    own = np.concatenate([_unit(own[kept]), vectors])
    if not len(own):
        raise ModelIntegrityError(f"{name}: no concept is left")
    return Distances(own, np.concatenate([own_even[kept], np.asarray(even, np.float32)]), _unit(care), care_even)


def _dense(arrays: Arrays, layers: list[tuple[Matrix, Matrix]], width: int, name: str) -> Dense:
    wanted = width
    for weight, bias in layers:
        if weight.shape[1] != wanted or bias.shape != (weight.shape[0],):
            raise ModelIntegrityError(f"{name}: a layer takes {weight.shape[1]} numbers where {wanted} come")
        wanted = int(weight.shape[0])
    mean, spread = np.zeros(width, np.float32), np.ones(width, np.float32)
    if "mean" in arrays and "variance" in arrays:
        mean = _finite(arrays, "mean", name).reshape(-1)
        spread = np.sqrt(np.maximum(_finite(arrays, "variance", name).reshape(-1), 1e-12)).astype(np.float32)
        if mean.shape != (width,) or spread.shape != (width,):
            raise ModelIntegrityError(f"{name}: `mean` and `variance` are not of {width} numbers")
    return Dense(tuple(layers), mean, spread)


def _pair(arrays: Arrays, weight: str, bias: str, name: str) -> tuple[Matrix, Matrix]:
    first, second = _finite(arrays, weight, name), _finite(arrays, bias, name).reshape(-1)
    first = first.reshape(1, -1) if first.ndim == 1 else first
    if first.ndim != 2:
        raise ModelIntegrityError(f"{name}: {weight} is no matrix")
    return first, second


def _finite(arrays: Arrays, key: str, name: str) -> Matrix:
    if key not in arrays:
        raise ModelIntegrityError(f"{name} has no array {key!r}", advice="docs/CONCEPTS.md shows the layouts.")
    found = np.asarray(arrays[key], np.float32)
    if not found.size or not np.isfinite(found).all():
        raise ModelIntegrityError(f"{name}: {key} is empty or holds a number that is not finite")
    return found


def _unit(rows: Matrix) -> Matrix:
    found: Matrix = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return found


def _order(key: str) -> tuple[list[int], str]:
    return [int(item) for item in _NUMBERS.findall(key)], key
