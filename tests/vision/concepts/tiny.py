"""A real CLIP of four numbers, as ONNX: a picture is its mean colour, and the names of colours lie where they are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from guardrail.detector import DetectorContext
from guardrail.inference import ModelStore
from guardrail.inference.clip import ClipEncoder, ClipSpec, prepare, probe_picture, text_part
from guardrail.inference.export.tools import seal, workshop
from guardrail.records import LocalRegistry
from guardrail.settings import load_settings
from guardrail.signals import DecodedPicture, Frame, GenerationRequest, Picture, Subject
from guardrail.taxonomy import Stage
from guardrail.vision.concepts.embedding import encoder

COLOURS = {
    "red": (1, -1, -1),
    "green": (-1, 1, -1),
    "blue": (-1, -1, 1),
    "yellow": (1, 1, -1),
    "white": (1, 1, 1),
    "black": (-1, -1, -1),
    "crimson": (0.9, -0.9, -0.8),
}
WIDTH, SIDE, CONTEXT = 4, 8, 8
_REST = 0.4
"""The last number of every vector: what pictures and words without colour have in common."""

SPEC = ClipSpec(
    height=SIDE,
    width=SIDE,
    resize=SIDE,
    fit="squash",
    interpolation="bilinear",
    mean=[0.5] * 3,
    std=[0.5] * 3,
    context=CONTEXT,
    pad=0,
    clean="lower",
    vector=WIDTH,
    scale=20.0,
    probe="a red thing",
)


def _image_net(fault: float) -> bytes:
    """Mean over height and width, and the rest; `fault` is added to the first number."""
    stored = [numpy_helper.from_array(np.array([[fault + 1e-9, 0, 0, _REST]], np.float32), "rest")]
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("Pad", ["colour", "pads"], ["wide"]),
        helper.make_node("Add", ["wide", "rest"], ["embedding"]),
    ]
    stored.append(numpy_helper.from_array(np.array([0, 0, 0, 1], np.int64), "pads"))
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    return _model(nodes, given, stored)


def _text_net(vocabulary: int) -> bytes:
    table = np.zeros((vocabulary, WIDTH), np.float32)
    for at, colour in enumerate(COLOURS.values()):
        table[2 + at, :3] = colour
    stored = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([[0, 0, 0, _REST]], np.float32), "rest"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"], axis=0),
        helper.make_node("ReduceSum", ["words", "one"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "rest"], ["embedding"]),
    ]
    return _model(nodes, helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", CONTEXT]), stored)


def _model(nodes: list[Any], given: Any, stored: list[Any]) -> bytes:
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", WIDTH])
    graph = helper.make_graph(nodes, "tower", [given], [out], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_clip(folder: Path, name: str = "colours", *, fault: float = 0.0, spec: ClipSpec = SPEC) -> Path:
    """Both manifests and their files, as an export leaves them; `fault` breaks the image tower after the probe."""
    words = {"[PAD]": 0, "[UNK]": 1} | {word: 2 + at for at, word in enumerate(COLOURS)}
    tokenizer = Tokenizer(WordLevel(vocab=words, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    pixels = prepare(probe_picture(), spec).mean(axis=(1, 2))
    probes = {"probe_image": _unit([*pixels, _REST]), "probe_text": _unit([*COLOURS["red"], _REST])}
    about = {"licence": "CC0-1.0", "author": "test", "task": "test", "card": "four numbers"}
    with workshop(folder, name) as work:
        (work / "image.onnx").write_bytes(_image_net(fault))
        (work / "text.onnx").write_bytes(_text_net(len(words)))
        (work / "clip.json").write_text(spec.model_copy(update=probes).model_dump_json())
        tokenizer.save(str(work / "tokenizer.json"))
        seal(work, folder, text_part(name), ["text.onnx", "tokenizer.json"], "test", **about)
        seal(work, folder, name, ["image.onnx", "clip.json"], "test", **about)
    return folder


def _unit(values: list[float]) -> list[float]:
    row = np.asarray(values, np.float64)
    return [float(item) for item in row / np.linalg.norm(row)]


def context(folder: Path, **settings: Any) -> DetectorContext:
    """Settings on `folder` with the CLIP in it, and nothing enrolled."""
    if not (folder / "manifests").exists():
        write_clip(folder / "manifests")
    found = load_settings(
        data_dir=folder / "data", manifests=(folder / "manifests",), **({"clip": "colours"} | settings)
    )
    return DetectorContext(found, ModelStore(found), LocalRegistry(found))


def clip(folder: Path) -> ClipEncoder:
    return encoder(context(folder))


def environment(folder: Path) -> dict[str, str]:
    """What a command line needs to find it."""
    write_clip(folder / "manifests")
    return {
        "GUARDRAIL_DATA_DIR": str(folder / "data"),
        "GUARDRAIL_MANIFESTS": json.dumps([str(folder / "manifests")]),
        "GUARDRAIL_CLIP": "colours",
    }


def plain(*colour: int, noise: float = 0.0, seed: int = 0) -> NDArray[np.uint8]:
    """(24, 32, 3) of one colour, with noise."""
    dice = np.random.default_rng(seed)
    return (np.full((24, 32, 3), colour) + dice.normal(0, noise or 1e-9, (24, 32, 3))).clip(0, 255).astype(np.uint8)


def shown(*frames: NDArray[np.uint8], stage: Stage = Stage.OUTPUT) -> Subject:
    """A subject with these frames."""
    picture = DecodedPicture(Picture(b""), "gif", 32, 24, tuple(Frame(at, rgb) for at, rgb in enumerate(frames)))
    return Subject(stage, GenerationRequest(), picture=picture)


def png(rgb: NDArray[np.uint8]) -> bytes:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "PNG")
    return data.getvalue()


def benign_pictures(folder: Path, count: int) -> Path:
    """A folder of pictures in every colour but red."""
    folder.mkdir(parents=True)
    dice = np.random.default_rng(4)
    for at in range(count):
        colour = dice.integers(0, 256, 3)
        colour[0] = min(colour[0], colour[1])
        (folder / f"{at:04}.png").write_bytes(png(plain(*colour, noise=5, seed=at)))
    return folder
