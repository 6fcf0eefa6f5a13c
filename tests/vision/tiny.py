"""Tiny real ONNX networks that answer a constant, and a provider that runs them: for faults no shipped net shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from guardrail.detector import ModelSession
from guardrail.errors import ModelMissingError
from guardrail.settings import shipped
from guardrail.signals import FaceGallery, FingerprintList, NameList
from guardrail.vision.combiner import NUDITY_HEADS, logit
from guardrail.vision.exposure import FEATURES

NO_CENTRE = Path(__file__).parent / "golden" / "no_centre.npy"
"""A centre of zeros: templates stay where the net puts them."""


def constant_net(name: str, shape: list[int], answers: list[NDArray[np.float32]]) -> bytes:
    """A model with input `name` of (batch, *shape) whose outputs are `answers`, each repeated over the batch."""
    nodes = [
        helper.make_node("Shape", [name], ["whole"]),
        helper.make_node("Slice", ["whole", "zero", "one"], ["batch"]),
    ]
    stored = [
        numpy_helper.from_array(np.array([0], dtype=np.int64), "zero"),
        numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
    ]
    outputs = []
    for index, answer in enumerate(answers):
        rest = numpy_helper.from_array(np.array(answer.shape, dtype=np.int64), f"rest{index}")
        stored += [rest, numpy_helper.from_array(answer[None], f"answer{index}")]
        nodes.append(helper.make_node("Concat", ["batch", f"rest{index}"], [f"size{index}"], axis=0))
        nodes.append(helper.make_node("Expand", [f"answer{index}", f"size{index}"], [f"out{index}"]))
        outputs.append(helper.make_tensor_value_info(f"out{index}", TensorProto.FLOAT, ["n", *answer.shape]))
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])]
    graph = helper.make_graph(nodes, "constant", given, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class _Session:
    def __init__(self, data: bytes) -> None:
        self._session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return list(self._session.run(None, dict(inputs)))


class TinyModels:
    """A `ModelProvider` over models given as bytes."""

    def __init__(self, **models: bytes) -> None:
        self._sessions = {name.replace("_", "-"): _Session(data) for name, data in models.items()}

    def session(self, name: str) -> ModelSession:
        if name not in self._sessions:
            raise ModelMissingError(f"no model {name}")
        return self._sessions[name]

    def file(self, name: str, file: str | None = None) -> Path:
        if file == "centre.npy":
            return NO_CENTRE
        raise ModelMissingError(f"no file {file} of {name}")

    def digest(self, name: str) -> str:
        return f"sha256:{name}"


class Listed:
    """A `Registry` with a fixed gallery and list."""

    def __init__(self, faces: FaceGallery | None = None, fingerprints: FingerprintList | None = None) -> None:
        nobody = FaceGallery(0, (), np.zeros((0, 128), dtype=np.float32))
        nothing = FingerprintList(0, (), np.zeros((0, 32), dtype=np.uint8), np.zeros(0, dtype=np.int64))
        self._faces = faces or nobody
        self._fingerprints = fingerprints or nothing

    def faces(self) -> FaceGallery:
        return self._faces

    def fingerprints(self) -> FingerprintList:
        return self._fingerprints

    def names(self) -> NameList:
        return NameList()


HEADS = shipped("models") / NUDITY_HEADS / f"{NUDITY_HEADS}.npz"


class NudityModels(TinyModels):
    """Tiny exposure nets beside the shipped heads."""

    def file(self, name: str, file: str | None = None) -> Path:
        if name != NUDITY_HEADS:
            return super().file(name, file)
        return HEADS


def features_for(bare: float) -> NDArray[np.float32]:
    """Features of open_nsfw of which the shipped heads say: this logit of bare, and upright."""
    with np.load(HEADS) as stored:
        heads, bias = np.stack([stored["bare"], stored["upright"]]).astype(np.float64), stored["bias"]
    features = np.full(FEATURES, 0.5)
    # a few Newton steps: the first head reads features, the second their logarithms
    for _ in range(60):
        values = np.array([heads[0] @ features, heads[1] @ np.log1p(features)]) + bias[:2]
        slopes = np.stack([heads[0], heads[1] / (1 + features)])
        wanted = np.array([bare, 5.0]) - values
        features = np.maximum(features + slopes.T @ np.linalg.solve(slopes @ slopes.T, wanted), 0.0)
    return features.astype(np.float32)


def art_features_for(art: float) -> NDArray[np.float32]:
    """Features of image-safety-s of which the shipped head says: this logit of art."""
    with np.load(HEADS) as stored:
        head, bias = stored["art"].astype(np.float64), float(stored["bias"][2])
    return np.asarray(head * (art - bias) / (head @ head), dtype=np.float32)


def nudity_models(open_nsfw: float, nsfw: float, nsfl: float = 0.03, art: float = -3.0) -> NudityModels:
    """Both exposure nets, answering the given probabilities whatever they see, with features that the heads read so."""
    yahoo = np.array([1 - open_nsfw, open_nsfw], dtype=np.float32)
    safety = np.array([nsfl, nsfw, 1 - nsfl - nsfw], dtype=np.float32)
    bare = features_for(logit(open_nsfw) if np.isfinite(open_nsfw) else 0.0)
    return NudityModels(
        open_nsfw=constant_net("input:0", [224, 224, 3], [yahoo, bare]),
        image_safety_s=constant_net("image", [3, 224, 224], [safety, art_features_for(art)]),
    )
