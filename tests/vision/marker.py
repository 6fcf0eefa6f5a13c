"""Lawful stand-ins for bare bodies: real networks that answer to a drawn colour in place of the exposure nets.

No explicit picture exists here. Magenta drawn on a public-domain portrait stands for uncovered skin; faces, templates,
policies and everything else are the real ones.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from guardrail.detector import ModelSession
from guardrail.inference import ModelStore
from guardrail.signals import RGB
from guardrail.vision.exposure import IMAGE_SAFETY, OPEN_NSFW
from tests.vision.tiny import TinyModels, art_features_for, features_for

MARK = (255, 0, 255)
_STRENGTH = 10.0


def _marker_net(
    name: str, shape: list[int], channels: int, answers: NDArray[np.float32], features: NDArray[np.float32]
) -> bytes:
    """A network whose output is base + share of marked pixels * `_STRENGTH`, for (batch, *shape) inputs.

    Args:
        name: of the input.
        shape: of one picture.
        channels: axis of the colours, 1 to 3; both orders of colours weigh the same.
        answers: (2, classes): the output without the mark, and what the mark adds when all is marked.
        features: (2, n): the second output without the mark, and with a tenth marked or more.
    """
    stored = {
        "weights": np.array([[0.5], [-1.0], [0.5]], dtype=np.float32),
        # magenta weighs 255, or 261 behind the mean that one net subtracts; nothing in the portraits comes near
        "least": np.array(-140, dtype=np.float32),
        "scale": np.array(1 / 50, dtype=np.float32),
        "one": np.array(1.0, dtype=np.float32),
        "base": answers[0],
        "added": answers[1] * _STRENGTH,
        "low": np.array(0.0, dtype=np.float32),
        "high": np.array(0.97, dtype=np.float32),
        "rows": np.array([1, 2, 3], dtype=np.int64),
    }
    order = [0, 2, 3, 1] if channels == 1 else [0, 1, 2, 3]
    nodes = [
        helper.make_node("Transpose", [name], ["last"], perm=order),
        helper.make_node("MatMul", ["last", "weights"], ["purple"]),
        helper.make_node("Add", ["purple", "least"], ["over"]),
        helper.make_node("Relu", ["over"], ["positive"]),
        helper.make_node("Mul", ["positive", "scale"], ["grown"]),
        helper.make_node("Min", ["grown", "one"], ["marked"]),
        helper.make_node("ReduceMean", ["marked", "rows"], ["share"], keepdims=0),
        helper.make_node("Unsqueeze", ["share", "last_axis"], ["column"]),
        helper.make_node("MatMul", ["column", "row"], ["raised"]),
        helper.make_node("Add", ["raised", "base"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["out"]),
        helper.make_node("Mul", ["column", "strength"], ["strong"]),
        helper.make_node("Min", ["strong", "one"], ["much"]),
        helper.make_node("MatMul", ["much", "gained"], ["gain"]),
        helper.make_node("Add", ["gain", "plain"], ["features"]),
    ]
    stored["strength"] = np.array(_STRENGTH, dtype=np.float32)
    stored["plain"], stored["gained"] = features[0], (features[1] - features[0])[None]
    stored["last_axis"] = np.array([1], dtype=np.int64)
    stored["row"] = stored.pop("added")[None]
    graph = helper.make_graph(
        nodes,
        "marker",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])],
        [
            helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", answers.shape[1]]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", features.shape[1]]),
        ],
        [numpy_helper.from_array(value, key) for key, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


class MarkedModels:
    """The pulled weights, with both exposure nets replaced by ones that see the mark."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        yahoo = np.array([[0.98, 0.02], [-1.0, 1.0]], dtype=np.float32)
        safety = np.array([[0.02, 0.03, 0.95], [0.0, 1.0, -1.0]], dtype=np.float32)
        bare = np.stack([features_for(-4.0), features_for(8.0)])
        photo = np.stack([art_features_for(-3.0)] * 2)
        self._marked = TinyModels(
            open_nsfw=_marker_net("input:0", [224, 224, 3], 3, yahoo, bare),
            image_safety_s=_marker_net("image", [3, 224, 224], 1, safety, photo),
        )

    def session(self, name: str) -> ModelSession:
        return self._marked.session(name) if name in (OPEN_NSFW, IMAGE_SAFETY) else self._models.session(name)

    def file(self, name: str, file: str | None = None) -> Path:
        return self._models.file(name, file)

    def digest(self, name: str) -> str:
        return self._models.digest(name)


def marked(rgb: RGB, box: tuple[float, float, float, float]) -> RGB:
    """A copy with the mark over a box given as left, top, right and bottom shares of the picture."""
    height, width = rgb.shape[:2]
    picture = Image.fromarray(rgb)
    left, top, right, bottom = box
    ImageDraw.Draw(picture).rectangle((left * width, top * height, right * width - 1, bottom * height - 1), fill=MARK)
    return np.asarray(picture)


def png(rgb: RGB) -> bytes:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "PNG")
    return data.getvalue()
