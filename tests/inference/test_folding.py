"""Small networks with the steps that Paddle writes, run before and after folding."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from guardrail.inference.folding import folded

RNG = np.random.default_rng(4)


def _net(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    return bytes(model.SerializeToString())


def _answers(data: bytes, picture: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": picture})[0])


def _steps(data: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(data).graph.node]


def _random(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


SCALE = [("Mul", 1.7), ("Add", -0.4)]


def _affine(
    name: str, out: str, steps: list[tuple[str, float]], constants: dict[str, np.ndarray]
) -> list[onnx.NodeProto]:
    nodes = []
    for at, (kind, value) in enumerate(steps):
        result = out if at == len(steps) - 1 else f"{out}_{at}"
        constants[f"{result}_c"] = np.array([value], np.float32)
        nodes.append(helper.make_node(kind, [name, f"{result}_c"], [result]))
        name = result
    return nodes


def _swish(name: str, out: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Add", [name, "three"], [f"{out}_a"]),
        helper.make_node("Clip", [f"{out}_a", "zero", "six"], [f"{out}_b"]),
        helper.make_node("Mul", [name, f"{out}_b"], [f"{out}_d"]),
        helper.make_node("Div", [f"{out}_d", "six"], [out]),
    ]


def _block(padded: bool) -> bytes:
    """Convolution, affine, activation, affine, and a convolution that is depth-wise and padded, or neither."""
    constants: dict[str, np.ndarray] = {
        "three": np.array(3, np.float32),
        "zero": np.array(0, np.float32),
        "six": np.array(6, np.float32),
        "w1": _random(6, 4, 1, 1),
        "b1": _random(6),
        "w2": _random(6, 1, 3, 3) if padded else _random(5, 6, 1, 1),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"]),
        *_affine("c1", "a1", SCALE, constants),
        *_swish("a1", "s1"),
        *_affine("s1", "a2", SCALE, constants),
        helper.make_node("Conv", ["a2", "w2"], ["y"], group=6 if padded else 1, pads=[int(padded)] * 4),
    ]
    return _net(nodes, constants)


@pytest.mark.parametrize("padded", [True, False])
def test_scales_shifts_and_activations_are_folded_and_answers_stay(padded: bool) -> None:
    data = _block(padded)
    fewer = folded(data)
    picture = _random(1, 4, 17, 23)
    np.testing.assert_allclose(_answers(fewer, picture), _answers(data, picture), atol=2e-5)
    assert _steps(fewer) == ["Conv", "HardSigmoid", "Mul", *(["Conv", "Conv"] if padded else ["Conv"])]


def test_normalisation_after_a_transposed_convolution_is_folded() -> None:
    constants = {
        "w": _random(4, 3, 2, 2),
        "b": _random(1, 3, 1, 1),
        "gain": _random(3),
        "offset": _random(3),
        "mean": _random(3),
        "variance": np.abs(_random(3)) + 0.1,
    }
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["c"], strides=[2, 2]),
        helper.make_node("Add", ["c", "b"], ["d"]),
        helper.make_node("BatchNormalization", ["d", "gain", "offset", "mean", "variance"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    data = _net(nodes, constants)
    picture = _random(1, 4, 9, 8)
    np.testing.assert_allclose(_answers(folded(data), picture), _answers(data, picture), atol=2e-5)
    assert _steps(folded(data)) == ["ConvTranspose", "Relu"]


def test_a_gate_of_each_channel_is_opened_and_one_of_each_pixel_is_left() -> None:
    def gated(average: bool) -> bytes:
        nodes = [helper.make_node("GlobalAveragePool" if average else "Identity", ["x"], ["m"])]
        nodes += [
            helper.make_node("Conv", ["m", "w", "b"], ["g"]),
            helper.make_node("HardSigmoid", ["g"], ["h"]),
            helper.make_node("Mul", ["x", "h"], ["p"]),
            helper.make_node("Add", ["x", "p"], ["y0"]),
            helper.make_node("Relu", ["y0"], ["y"]),
        ]
        return _net(nodes, {"w": _random(4, 4, 1, 1), "b": _random(4)})

    picture = _random(1, 4, 12, 12)
    for average in (True, False):
        data = gated(average)
        np.testing.assert_allclose(_answers(folded(data), picture), _answers(data, picture), atol=2e-5)
    assert _steps(folded(gated(True)))[-3:] == ["Add", "Mul", "Relu"]
    assert _steps(folded(gated(False)))[-3:] == ["Mul", "Add", "Relu"]


def test_what_others_still_need_is_kept() -> None:
    constants = {"w": _random(3, 4, 1, 1), "two": np.array([2], np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Mul", ["c", "two"], ["d"]),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    data = _net(nodes, constants)
    picture = _random(1, 4, 5, 5)
    np.testing.assert_allclose(_answers(folded(data), picture), _answers(data, picture), atol=1e-6)
    assert _steps(folded(data)) == ["Conv", "Mul", "Add"]
