"""Small real parts: a WordPiece vocabulary, ONNX networks that answer by token, and a provider that serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from guardrail.detector import DetectorContext, ModelSession
from guardrail.errors import ModelMissingError
from guardrail.settings import Settings
from guardrail.signals import GenerationRequest, Prompt, Subject
from guardrail.taxonomy import Stage
from guardrail.text.heads import HEADS
from tests.vision.tiny import Listed

VOCABULARY = 1_024
WORDS = ("a", "red", "barn", "lantern", "snow", "meadow", "quiet", "stone")
FIRST_WORD = 1_000


def write_tokenizer(path: Path) -> Path:
    """A WordPiece tokenizer with the ids of BERT's special tokens and eight words from 1000 on."""
    ids = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102}
    ids |= {word: FIRST_WORD + at for at, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordPiece(vocab=ids, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(path))
    return path


def token_net(inputs: Sequence[str], table: NDArray[np.float32]) -> bytes:
    """A network that looks each token up in `table` (1024, width)."""
    nodes = [helper.make_node("Gather", ["table", inputs[0]], ["states"], axis=0)]
    for name in inputs[1:]:
        nodes.append(helper.make_node("Identity", [name], [f"unused_{name}"]))
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "tokens", table.shape[1]])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def heads_net(
    said: Mapping[str, Mapping[str, float]] | None = None, *, otherwise: float = -12.0, width: int = len(HEADS)
) -> bytes:
    """The heads: `otherwise` for every token, or what is given for a word of the vocabulary, by head or "person"."""
    table = np.full((VOCABULARY, width), otherwise, dtype=np.float32)
    people = np.full(VOCABULARY, otherwise, dtype=np.float32)
    for word, logits in (said or {}).items():
        for head, value in logits.items():
            at = FIRST_WORD + WORDS.index(word)
            if head == "person":
                people[at] = value
            else:
                table[at, HEADS.index(head)] = value
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["states"], axis=0),
        helper.make_node("Identity", ["mask"], ["unused"]),
        helper.make_node("ReduceMax", ["states"], ["logits"], axes=[1], keepdims=0),
        helper.make_node("Gather", ["marks", "ids"], ["people"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "heads",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("ids", "mask")],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", width]),
            helper.make_tensor_value_info("people", TensorProto.FLOAT, ["batch", "tokens"]),
        ],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(people, "marks")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def encoder_net(table: NDArray[np.float32] | None = None) -> bytes:
    """A sentence encoder of 384 numbers a token: the token's own direction."""
    if table is None:
        table = np.full((VOCABULARY, 384), 0.01, dtype=np.float32)
        table[np.arange(VOCABULARY), np.arange(VOCABULARY) % 384] = 1
    return token_net(("input_ids", "attention_mask", "token_type_ids"), table)


def write_perceptron(path: Path, bias: float = 0.0, shape: tuple[int, int] = (256, 384)) -> Path:
    """Weights in the layout of the injection classifier that answer sigmoid(bias) to everything."""
    sizes = {"h1": shape, "h2": (128, 256), "out": (1, 128)}
    arrays: dict[str, NDArray[np.float32]] = {f"w_{name}": np.zeros(size, np.float32) for name, size in sizes.items()}
    arrays |= {f"b_{name}": np.zeros(size[0], np.float32) for name, size in sizes.items()}
    arrays["b_out"][0] = bias
    np.savez(path, allow_pickle=False, **arrays)
    return path


class _Session:
    def __init__(self, data: bytes) -> None:
        self._session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        self.runs = 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.runs += 1
        return list(self._session.run(None, dict(inputs)))


class TextModels:
    """A `ModelProvider` over networks given as bytes and files of a folder."""

    def __init__(self, folder: Path, *, heads: bytes | None = None, encoder: bytes | None = None, bias: float = 0.0):
        self.files = {
            ("minilm-l6-int8", "tokenizer.json"): write_tokenizer(folder / "tokenizer.json"),
            ("jailguard-mlp", None): write_perceptron(folder / "mlp.npz", bias),
        }
        self.sessions = {
            "text-heads": _Session(heads or heads_net()),
            "minilm-l6-int8": _Session(encoder or encoder_net()),
        }

    def session(self, name: str) -> ModelSession:
        if name not in self.sessions:
            raise ModelMissingError(f"no model {name}")
        return self.sessions[name]

    def file(self, name: str, file: str | None = None) -> Path:
        if (name, file) not in self.files:
            raise ModelMissingError(f"no file {file} of {name}")
        return self.files[name, file]

    def digest(self, name: str) -> str:
        return f"sha256:{name}"


def context(models: TextModels) -> DetectorContext:
    return DetectorContext(Settings(), models, Listed())


def asked(text: str) -> Subject:
    prompt = Prompt(text)
    return Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt)
