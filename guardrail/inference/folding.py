"""The same network with fewer steps: what only scales or shifts a convolution's values goes into its weights.

Networks that Paddle exports scale and shift after every convolution and every activation, and spell an activation out
in four steps. Each step reads and writes the whole map and makes the runtime change its layout twice: a third to half
of what the network costs. Results differ by rounding only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.float32]
_CONVOLUTIONS = ("Conv", "ConvTranspose")


@dataclass(slots=True)
class _Graph:
    """Nodes and constants under change."""

    nodes: list[onnx.NodeProto]
    outputs: set[str]
    constants: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    made: int = 0

    def users(self, name: str) -> list[onnx.NodeProto]:
        return [node for node in self.nodes if name in node.input]

    def only_user(self, name: str) -> onnx.NodeProto | None:
        found = self.users(name)
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def number(self, name: str) -> np.float32 | None:
        """A constant of one element."""
        value = self.constants.get(name)
        return np.float32(value.ravel()[0]) if value is not None and value.size == 1 else None

    def numbers(self, name: str, channels: int) -> Array | None:
        """A constant of one element, or one for each channel, as (channels,)."""
        value = self.constants.get(name)
        if value is None or value.dtype != np.float32 or value.shape not in ((), (1,), (1, channels, 1, 1)):
            return None
        return np.broadcast_to(value.ravel(), channels).astype(np.float32)

    def add(self, value: NDArray[np.generic]) -> str:
        self.made += 1
        name = f"folded_{self.made}"
        self.constants[name] = value
        return name

    def remove(self, node: onnx.NodeProto, instead: str) -> None:
        """Take a node out; who used its result uses `instead`."""
        self.nodes.remove(node)
        for other in self.nodes:
            for at, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[at] = instead


def folded(data: bytes) -> bytes:
    """A network with its scales, shifts and batch normalisations folded; `data` and the result are ONNX files."""
    model = onnx.load_from_string(data)
    graph = _Graph(list(model.graph.node), {item.name for item in model.graph.output})
    for item in model.graph.initializer:
        graph.constants[item.name] = numpy_helper.to_array(item)
    for node in list(graph.nodes):
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            graph.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            graph.nodes.remove(node)
    _activations(graph)
    _gates(graph)
    for node in [node for node in graph.nodes if node.op_type in _CONVOLUTIONS]:
        while _after(graph, node):
            pass
    for node in [node for node in graph.nodes if node.op_type == "Mul"]:
        _before(graph, node)
    used = {name for node in graph.nodes for name in node.input}
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in graph.constants.items() if name in used
    )
    return bytes(model.SerializeToString())


def _activations(graph: _Graph) -> None:
    """`x * clip(x + 3, 0, 6) / 6` as `x * HardSigmoid(x)`."""
    for shift in [node for node in graph.nodes if node.op_type == "Add"]:
        clip = graph.only_user(shift.output[0])
        if graph.number(shift.input[1]) != 3 or clip is None or clip.op_type != "Clip":
            continue
        product = graph.only_user(clip.output[0])
        bounds = [graph.number(name) for name in clip.input[1:]]
        if bounds != [0, 6] or product is None or list(product.input) != [shift.input[0], clip.output[0]]:
            continue
        share = graph.only_user(product.output[0])
        if share is None or share.op_type != "Div" or graph.number(share.input[1]) != 6:
            continue
        gate = helper.make_node("HardSigmoid", [shift.input[0]], [clip.output[0]], alpha=1 / 6, beta=0.5)
        graph.nodes[graph.nodes.index(clip)] = gate
        graph.nodes.remove(shift)
        graph.remove(share, product.output[0])


def _gates(graph: _Graph) -> None:
    """`x + x * gate`, where the gate is one number a channel, as `x * (gate + 1)`: one step over the map, not two."""
    for total in [node for node in graph.nodes if node.op_type == "Add"]:
        product = next((node for node in graph.nodes if node.output[0] == total.input[1]), None)
        if product is None or product.op_type != "Mul" or graph.only_user(product.output[0]) is not total:
            continue
        gate = next((node for node in graph.nodes if node.output[0] == product.input[1]), None)
        if gate is None or gate.op_type != "HardSigmoid" or product.input[0] != total.input[0]:
            continue
        # a gate of the activations below is as large as the map: only what was averaged over the map is one number
        squeezed = next((node for node in graph.nodes if node.output[0] == gate.input[0]), None)
        if squeezed is None or not _averaged(graph, squeezed):
            continue
        one = graph.add(np.ones(1, np.float32))
        opened = helper.make_node("Add", [gate.output[0], one], [f"{gate.output[0]}_opened"])
        graph.nodes.insert(graph.nodes.index(product), opened)
        product.input[1] = opened.output[0]
        graph.remove(total, product.output[0])


def _averaged(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Whether a node's result comes from a map's average through unpadded steps."""
    while node.op_type in ("Conv", "Relu"):
        before = next((other for other in graph.nodes if other.output[0] == node.input[0]), None)
        if before is None:
            return False
        node = before
    return node.op_type == "GlobalAveragePool"


def _after(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Fold the step after a convolution into it; whether there was one."""
    following = graph.only_user(node.output[0])
    if following is None or node.input[1] not in graph.constants:
        return False
    weights = graph.constants[node.input[1]].astype(np.float32)
    channels = weights.shape[0] if node.op_type == "Conv" else weights.shape[1]
    if node.op_type == "ConvTranspose" and _groups(node) > 1:
        return False
    scale, shift = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if following.op_type == "BatchNormalization":
        gain, offset, mean, variance = (graph.constants[name].astype(np.float32) for name in following.input[1:5])
        epsilon = next((item.f for item in following.attribute if item.name == "epsilon"), 1e-5)
        scale = gain / np.sqrt(variance + np.float32(epsilon))
        shift = offset - mean * scale
    elif following.op_type in ("Mul", "Add"):
        other = next((name for name in following.input if name != node.output[0]), "")
        numbers = graph.numbers(other, channels)
        if numbers is None:
            return False
        scale, shift = (numbers, shift) if following.op_type == "Mul" else (scale, numbers)
    else:
        return False
    shape = (-1, 1, 1, 1) if node.op_type == "Conv" else (1, -1, 1, 1)
    bias = graph.constants[node.input[2]].astype(np.float32) if len(node.input) > 2 else np.zeros(channels, np.float32)
    inputs = [node.input[0], graph.add(weights * scale.reshape(shape)), graph.add(bias * scale + shift)]
    del node.input[:]
    node.input.extend(inputs)
    graph.remove(following, node.output[0])
    return True


def _before(graph: _Graph, scaling: onnx.NodeProto) -> None:
    """Fold a scale and shift before convolutions into them, or make them one step that keeps the map's layout."""
    start = next((name for name in scaling.input if name not in graph.constants), "")
    scale = _beside(graph, scaling, start)
    shifting = graph.only_user(scaling.output[0])
    if scale is None or shifting is None or shifting.op_type != "Add":
        return
    shift = _beside(graph, shifting, scaling.output[0])
    users = graph.users(shifting.output[0])
    if shift is None or shifting.output[0] in graph.outputs or not all(user.op_type == "Conv" for user in users):
        return
    if all(_groups(user) == 1 and not any(_pads(user)) for user in users):
        for user in users:
            weights = graph.constants[user.input[1]].astype(np.float32)
            bias = graph.constants[user.input[2]].astype(np.float32) if len(user.input) > 2 else np.float32(0)
            # summed in double precision, so that no order of summing changes a bit of the pinned file
            moved = bias + weights.sum(axis=(1, 2, 3), dtype=np.float64) * shift
            inputs = [start, graph.add(weights * scale), graph.add(moved.astype(np.float32))]
            del user.input[:]
            user.input.extend(inputs)
        graph.nodes.remove(scaling)
        graph.nodes.remove(shifting)
        return
    grouped = next((user for user in users if _groups(user) > 1), None)
    if grouped is None:
        return
    channels = _groups(grouped)
    affine = helper.make_node(
        "Conv",
        [
            start,
            graph.add(np.full((channels, 1, 1, 1), scale, np.float32)),
            graph.add(np.full(channels, shift, np.float32)),
        ],
        [shifting.output[0]],
        group=channels,
        kernel_shape=[1, 1],
    )
    graph.nodes[graph.nodes.index(scaling)] = affine
    graph.nodes.remove(shifting)


def _beside(graph: _Graph, node: onnx.NodeProto, name: str) -> np.float32 | None:
    """The number that a node joins with the map `name`."""
    others = [other for other in node.input if other != name]
    return graph.number(others[0]) if len(others) == 1 else None


def _groups(node: onnx.NodeProto) -> int:
    return next((int(item.i) for item in node.attribute if item.name == "group"), 1)


def _pads(node: onnx.NodeProto) -> list[int]:
    return next((list(item.ints) for item in node.attribute if item.name == "pads"), [])
