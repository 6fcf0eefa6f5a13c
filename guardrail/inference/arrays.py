"""Arrays out of npz and safetensors files, bounded, and nothing else: no pickle is ever opened."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrail.errors import ModelIntegrityError, ModelMissingError

MAX_BYTES = 2 * 2**30
_MAX_HEADER = 16 * 2**20
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "I8": "|i1", "BOOL": "|b1"}

Arrays = Mapping[str, NDArray[Any]]


def read_arrays(path: Path, sha256: str) -> Arrays:
    """Arrays by name; numbers that float32 cannot hold exactly (bfloat16) are widened.

    Raises:
        ModelMissingError: the file is not there.
        ModelIntegrityError: its digest differs, it is too large, or it is neither npz nor safetensors.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelIntegrityError(f"{path.name} has more than {MAX_BYTES >> 20} MB")
        data = path.read_bytes()
    except OSError as error:
        raise ModelMissingError(f"{path} cannot be read", advice="Correct the path in the settings.") from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelIntegrityError(
            f"{path.name} has sha256 {found[:12]}…, the settings name {sha256[:12]}…",
            advice="Use the file that was pinned, or pin this one if you trust it.",
        )
    return _npz(data, path.name) if data[:2] == b"PK" else safetensors(data, path.name)


def safetensors(data: bytes, name: str) -> Arrays:
    """Arrays of a safetensors file: eight bytes of length, a JSON header, and the numbers.

    Raises:
        ModelIntegrityError: it is none, or its header points outside of it.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        if not 2 <= size <= min(_MAX_HEADER, len(data) - 8):
            raise ValueError
        header = json.loads(data[8 : 8 + size])
        body, found = memoryview(data)[8 + size :], {}
        for key, entry in header.items():
            if key != "__metadata__":
                found[key] = _tensor(entry, body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ModelIntegrityError(f"{name} is no safetensors or npz file") from error
    return found


def _tensor(entry: Any, body: memoryview) -> NDArray[Any]:
    begin, end = (int(item) for item in entry["data_offsets"])
    shape = tuple(int(item) for item in entry["shape"])
    if not 0 <= begin <= end <= len(body) or min(shape, default=0) < 0:
        raise ValueError
    part = body[begin:end]
    if entry["dtype"] == "BF16":
        # the upper half of a float32
        wide = np.frombuffer(part, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    kind = np.dtype(_TYPES[entry["dtype"]])
    if math.prod(shape) * kind.itemsize != end - begin:
        raise ValueError
    return np.frombuffer(part, kind).reshape(shape)


def _npz(data: bytes, name: str) -> Arrays:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:
        raise ModelIntegrityError(f"{name} is no npz file without pickles") from error
