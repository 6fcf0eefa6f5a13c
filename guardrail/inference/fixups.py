"""Declared changes to delivered files. Each is deterministic: the manifest pins the sha256 of the result."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from guardrail.errors import ModelIntegrityError
from guardrail.inference.folding import folded


def sface_inputs(data: bytes) -> bytes:
    """Drop the stale graph inputs of the block-quantised SFace: ONNX Runtime would ask for 174 weights as inputs."""
    model = onnx.load_from_string(data)
    kept = [item for item in model.graph.input if item.name == "data"]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return bytes(model.SerializeToString())


def sface_centre(data: bytes) -> bytes:
    """What SFace adds to every template, as (128,) float32 npy: the shift of its last normalisation."""
    model = onnx.load_from_string(data)
    found = [item for item in model.graph.initializer if item.name == "fc1_beta"]
    if not found:
        raise ModelIntegrityError("the network does not end in the normalisation that holds its centre")
    made = io.BytesIO()
    np.save(made, numpy_helper.to_array(found[0]).astype(np.float32), allow_pickle=False)
    return made.getvalue()


def yunet_scales(data: bytes) -> bytes:
    """Drop `block_size` where the block-quantised YuNet has per-tensor scales: ONNX Runtime refuses both together."""
    model = onnx.load_from_string(data)
    initializers = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        scale = initializers.get(node.input[1])
        if scale is not None and len(scale.dims) <= 1:
            for attribute in [item for item in node.attribute if item.name == "block_size"]:
                node.attribute.remove(attribute)
    kept = [item for item in model.graph.input if item.name not in initializers]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return bytes(model.SerializeToString())


def ppocr_characters(data: bytes) -> bytes:
    """The characters that a recognition network of PP-OCR tells apart, one a line, out of its metadata."""
    found = {item.key: item.value for item in onnx.load_from_string(data).metadata_props}
    if not found.get("character"):
        raise ModelIntegrityError("the network does not say which characters it reads")
    return str(found["character"]).encode()


def last_features(data: bytes) -> bytes:
    """Let a network also give the features that its last layer reads."""
    model = onnx.load_from_string(data)
    last = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")][-1]
    model.graph.output.append(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    return bytes(model.SerializeToString(deterministic=True))


def last_features_gelu(data: bytes) -> bytes:
    """`last_features`, and every `x * (0.5 * (1 + erf))` spelt `(x * (1 + erf)) * 0.5`, which a runtime fuses.

    Results differ by rounding only.
    """
    model = onnx.load_from_string(data)
    makers = {name: node for node in model.graph.node for name in node.output}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def only(node: onnx.NodeProto, kind: str) -> onnx.NodeProto | None:
        found = users.get(node.output[0], [])
        return found[0] if len(found) == 1 and found[0].op_type == kind else None

    for erf in [node for node in model.graph.node if node.op_type == "Erf"]:
        added = only(erf, "Add")
        halved = only(added, "Mul") if added else None
        last = only(halved, "Mul") if halved else None
        scaled = makers.get(erf.input[0])
        if added is None or halved is None or last is None or scaled is None or scaled.input[0] not in last.input:
            continue
        half = [name for name in halved.input if name != added.output[0]]
        halved.input[:] = [scaled.input[0], added.output[0]]
        last.input[:] = [halved.output[0], *half]
    return last_features(bytes(model.SerializeToString()))


def without_denormals(data: bytes) -> bytes:
    """Weights too small for a normal float32 become zero: a processor is several times slower at them."""
    model = onnx.load_from_string(data)
    for item in model.graph.initializer:
        if item.data_type == onnx.TensorProto.FLOAT:
            weights = numpy_helper.to_array(item)
            denormal = np.abs(weights) < np.finfo(np.float32).tiny
            if np.count_nonzero(weights[denormal]):
                item.CopyFrom(numpy_helper.from_array(np.where(denormal, np.float32(0), weights), item.name))
    return bytes(model.SerializeToString(deterministic=True))


FIXUPS: Mapping[str, Callable[[bytes], bytes]] = {
    "sface-inputs": sface_inputs,
    "sface-centre": sface_centre,
    "yunet-scales": yunet_scales,
    "ppocr-characters": ppocr_characters,
    "folded": folded,
    "last-features": last_features,
    "last-features-gelu": last_features_gelu,
    "without-denormals": without_denormals,
}
