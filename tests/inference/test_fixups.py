"""Small networks before and after a declared change: the same answers, and what the change is for."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from guardrail.inference.fixups import last_features_gelu, without_denormals

RNG = np.random.default_rng(4)


def _net(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def _answers(data: bytes, values: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return [np.asarray(answer) for answer in session.run(None, {"x": values})]


def _run_as(data: bytes, where: Path) -> list[str]:
    """The steps that the runtime makes of a network."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(where)
    ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(where).graph.node]


def _activated(second: str) -> bytes:
    nodes = [
        helper.make_node("Div", ["x", "root"], ["scaled"]),
        helper.make_node("Erf", ["scaled"], ["erf"]),
        helper.make_node("Add", ["erf", "one"], ["added"]),
        helper.make_node("Mul", ["half", "added"], ["halved"]),
        helper.make_node("Mul", [second, "halved"], ["active"]),
        helper.make_node("MatMul", ["active", "weights"], ["y"]),
    ]
    constants = {"root": math.sqrt(2), "one": 1.0, "half": 0.5, "weights": RNG.normal(0, 1, (6, 3))}
    return _net(nodes, {name: np.asarray(value) for name, value in constants.items()})


def test_an_activation_in_four_steps_becomes_one(tmp_path: Path) -> None:
    plain = _activated("x")
    fixed = last_features_gelu(plain)
    values = RNG.normal(0, 2, (5, 6)).astype(np.float32)
    found, features = _answers(fixed, values)
    assert np.allclose(found, _answers(plain, values)[0], atol=1e-5)
    weights = next(item for item in onnx.load_from_string(plain).graph.initializer if item.name == "weights")
    assert np.allclose(features @ numpy_helper.to_array(weights), found, atol=1e-5)
    assert "Erf" in _run_as(plain, tmp_path / "plain.onnx")
    assert "Erf" not in _run_as(fixed, tmp_path / "fixed.onnx")


def test_what_only_resembles_an_activation_stays() -> None:
    plain = _activated("scaled")
    values = RNG.normal(0, 2, (5, 6)).astype(np.float32)
    assert np.array_equal(_answers(last_features_gelu(plain), values)[0], _answers(plain, values)[0])


@pytest.mark.parametrize("tiny", [1e-39, -3e-40])
def test_denormal_weights_become_zero_and_others_stay(tiny: float) -> None:
    weights = RNG.normal(0, 1, (6, 3)).astype(np.float32)
    weights[0], weights[1, 0] = tiny, 2e-38
    plain = _net([helper.make_node("MatMul", ["x", "weights"], ["y"])], {"weights": weights})
    fixed = without_denormals(plain)
    kept = numpy_helper.to_array(onnx.load_from_string(fixed).graph.initializer[0])
    assert (kept[0] == 0).all()
    assert np.array_equal(kept[1:], weights[1:])
    values = RNG.normal(0, 1, (4, 6)).astype(np.float32)
    assert np.array_equal(_answers(fixed, values)[0], _answers(plain, values)[0])
