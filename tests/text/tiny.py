"""Small real parts: a WordPiece vocabulary, ONNX networks that answer by token, and a provider that serves them."""

from __future__ import annotations

from collections.abc import Mapping
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
from guardrail.text.foreign import FOREIGN
from guardrail.text.heads import HEADS
from guardrail.text.ngrams import SIZE
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


def write_ngrams(path: Path, bias: float) -> Path:
    """The n-gram model that answers `bias` to everything."""
    np.savez(path, allow_pickle=False, weights=np.zeros(SIZE, np.float16), bias=np.float16(bias))
    return path


def injection_net(logit: float) -> bytes:
    """The injection network that answers `logit` to everything."""
    table = np.full(VOCABULARY, logit, dtype=np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["states"], axis=0),
        helper.make_node("Identity", ["mask"], ["unused"]),
        helper.make_node("ReduceMax", ["states"], ["logit"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "injection",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class _Session:
    def __init__(self, data: bytes) -> None:
        self._session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        self.runs = 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.runs += 1
        return list(self._session.run(None, dict(inputs)))


class TextModels:
    """A `ModelProvider` over networks given as bytes and files of a folder."""

    def __init__(self, folder: Path, *, heads: bytes | None = None, instructs: float = -12.0, foreign: float = -9.0):
        self.files: dict[tuple[str, str | None], Path] = {
            ("english-wordpieces", "tokenizer.json"): write_tokenizer(folder / "tokenizer.json"),
            (FOREIGN, None): write_ngrams(folder / "ngrams.npz", foreign),
        }
        self.sessions = {
            "text-heads": _Session(heads or heads_net()),
            "text-injection": _Session(injection_net(instructs)),
            "text-pictured": _Session(injection_net(instructs)),
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
