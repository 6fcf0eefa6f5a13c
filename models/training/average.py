"""Mean of two int8 networks of one architecture that started from the same weights: it errs less than either.

    python models/training/average.py FIRST.onnx SECOND.onnx --share 0.6 --out models/text-pictured/text-pictured.onnx

Weights are unpacked from int8, averaged and packed again; `--share` is that of the second. Method: M. Wortsman and
others, "Model soups", ICML 2022.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

PACKED, SCALE, ZERO = "_quantized", "_scale", "_zero_point"
CALIBRATION = ("slope", "shift")
"""Factor and constant that turn raw logits into calibrated ones, as `train_text.calibrate` writes them."""
_MOST = 127
Arrays = dict[str, NDArray[Any]]


def averaged(first: onnx.ModelProto, second: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """The first network with weights that lie `share`, 0 to 1, of the way to the second.

    Raises:
        ValueError: the networks differ in names, shapes or constants.
    """
    left, right = _arrays(first), _arrays(second)
    if {name: item.shape for name, item in left.items()} != {name: item.shape for name, item in right.items()}:
        raise ValueError("the networks differ in names or shapes of weights: train both with one script")
    made: Arrays = {}
    for name, item in left.items():
        if name.endswith(PACKED):
            base = name.removesuffix(PACKED)
            made |= _packed(base, (1 - share) * _unpacked(left, base) + share * _unpacked(right, base), left)
        elif np.issubdtype(item.dtype, np.floating) and name not in made:
            made[name] = ((1 - share) * item + share * right[name]).astype(item.dtype)
        elif not (name in made or name.endswith(ZERO) or np.array_equal(item, right[name])):
            raise ValueError(f"the networks differ in the constant {name!r}")
    result = onnx.ModelProto()
    result.CopyFrom(first)
    for tensor in result.graph.initializer:
        if tensor.name in made:
            tensor.CopyFrom(numpy_helper.from_array(made[tensor.name], tensor.name))
    onnx.checker.check_model(result)
    return result


def stretched(model: onnx.ModelProto, times: float) -> onnx.ModelProto:
    """The network with all logits so many times as large: means of distant networks are less sure than either."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        if tensor.name in CALIBRATION:
            tensor.CopyFrom(
                numpy_helper.from_array((times * numpy_helper.to_array(tensor)).astype(np.float32), tensor.name)
            )
    return result


def _arrays(model: onnx.ModelProto) -> Arrays:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def _unpacked(arrays: Arrays, base: str) -> NDArray[np.float32]:
    """A matrix by columns with a scale each, or a table with one scale and a zero point."""
    found = arrays[base + PACKED].astype(np.float32) - arrays[base + ZERO].astype(np.float32)
    return np.asarray(found * arrays[base + SCALE], dtype=np.float32)


def _packed(base: str, weights: NDArray[np.float32], like: Arrays) -> Arrays:
    scale, zero = like[base + SCALE], like[base + ZERO]
    kind = like[base + PACKED].dtype
    limits = np.iinfo(kind)
    if kind == np.int8:
        most = np.abs(weights).max(axis=0) if scale.size > 1 else np.abs(weights).max()
        step = np.maximum(np.asarray(most, np.float32) / _MOST, np.finfo(np.float32).tiny).reshape(scale.shape)
        origin = np.zeros_like(zero)
    else:
        low, high = min(0.0, float(weights.min())), max(0.0, float(weights.max()))
        step = np.full_like(scale, (high - low) / int(limits.max))
        origin = np.full_like(zero, round(-low / float(step.ravel()[0])))
    ints = np.clip(np.round(weights / step) + origin.astype(np.float32), limits.min, limits.max).astype(kind)
    return {base + PACKED: ints, base + SCALE: step.astype(scale.dtype), base + ZERO: origin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--stretch", type=float, default=1.0, help="multiply the logits")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    mean = averaged(onnx.load(arguments.first), onnx.load(arguments.second), arguments.share)
    onnx.save(stretched(mean, arguments.stretch), arguments.out)
    made = arguments.out.read_bytes()
    print(f"sha256 {hashlib.sha256(made).hexdigest()}, {len(made)} bytes")


if __name__ == "__main__":
    main()
