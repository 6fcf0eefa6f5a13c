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
from guardrail.signals import FaceGallery, FingerprintList, NameList

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


def nudity_models(open_nsfw: float, nsfw: float, nsfl: float = 0.03) -> TinyModels:
    """Both exposure nets, answering the given probabilities whatever they see."""
    yahoo = np.array([1 - open_nsfw, open_nsfw], dtype=np.float32)
    safety = np.array([nsfl, nsfw, 1 - nsfl - nsfw], dtype=np.float32)
    return TinyModels(
        open_nsfw=constant_net("input:0", [224, 224, 3], [yahoo]),
        image_safety_s=constant_net("image", [3, 224, 224], [safety]),
    )
