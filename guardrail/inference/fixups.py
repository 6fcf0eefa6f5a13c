"""Declared changes to delivered files. Each is deterministic: the manifest pins the sha256 of the result."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
import onnx

from guardrail.errors import ModelIntegrityError

_JSON_RUN = re.compile(rb"\{[\x20-\x7e]{100000,}")


def sface_inputs(data: bytes) -> bytes:
    """Drop the stale graph inputs of the block-quantised SFace: ONNX Runtime would ask for 174 weights as inputs."""
    model = onnx.load_from_string(data)
    kept = [item for item in model.graph.input if item.name == "data"]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return bytes(model.SerializeToString())


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


def jailguard_mlp(data: bytes) -> bytes:
    """Read the JSON weights out of the compiled library, as data, into an npz of float32 arrays."""
    runs = sorted(_JSON_RUN.finditer(data), key=lambda item: item.end() - item.start(), reverse=True)
    for run in runs:
        try:
            found, _ = json.JSONDecoder().raw_decode(run.group().decode("ascii"))
        except ValueError:
            continue
        arrays = {
            name: np.asarray(value, dtype=np.float32)
            for name, value in sorted(found.items())
            if isinstance(value, list) and name[:2] in ("w_", "b_")
        }
        if arrays:
            return _npz(arrays)
    raise ModelIntegrityError("the library holds no readable weights")


FIXUPS: Mapping[str, Callable[[bytes], bytes]] = {
    "sface-inputs": sface_inputs,
    "yunet-scales": yunet_scales,
    "jailguard-mlp": jailguard_mlp,
}


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An npz whose bytes depend on the arrays alone: fixed order, fixed time stamps, no compression."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue())
    return data.getvalue()
