"""A plugged-in classifier at run time, over a network written with onnx: windows, labels, even point, faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

from guardrail.detector import DetectorContext
from guardrail.errors import DetectionError, ModelIntegrityError, ModelMissingError
from guardrail.inference.classifier import Classifier
from guardrail.settings import Settings
from guardrail.signals import best_scores
from guardrail.text.injection import InjectionDetector
from tests.text.tiny import TextModels, asked
from tests.vision.tiny import Listed

WORDS = {"[PAD]": 0, "[CLS]": 1, "[UNK]": 2, "barn": 3, "obey": 4, "nothing": 5}
SPEC: dict[str, Any] = {
    "labels": ["fine", "bad", "worse"],
    "instructs": ["bad", "worse"],
    "max_length": 8,
    "stride": 2,
    "pad": 0,
}


class _Session:
    def __init__(self, table: list[list[float]]) -> None:
        nodes = [
            helper.make_node("Gather", ["table", "ids"], ["states"], axis=0),
            helper.make_node("ReduceMax", ["states"], ["logits"], axes=[1], keepdims=0),
        ]
        graph = helper.make_graph(
            nodes,
            "classifier",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "tokens"])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(table[0])])],
            [numpy_helper.from_array(np.array(table, np.float32), "table")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        self.rows: list[int] = []

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.rows.append(len(inputs["ids"]))
        return list(self._session.run(None, inputs))


def _models(folder: Path, table: list[list[float]] | None = None, **spec: Any) -> TextModels:
    """`plug`: what is said of "obey" is bad, and of the rest is fine."""
    made = TextModels(folder)
    rows = table or [[-9.0, -9.0, -9.0]] * 2 + [[2.0, -2.0, -2.0]] * 2 + [[2.0, 5.0, 4.0]] + [[2.0, -2.0, -2.0]]
    made.sessions["plug"] = _Session(rows)  # type: ignore[assignment]
    tokenizer = Tokenizer(WordLevel(vocab=WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    tokenizer.save(str(folder / "plug-tokenizer.json"))
    (folder / "classifier.json").write_text(json.dumps(SPEC | spec))
    made.files["plug", "tokenizer.json"] = folder / "plug-tokenizer.json"
    made.files["plug", "classifier.json"] = folder / "classifier.json"
    return made


def _context(models: TextModels, *names: str) -> DetectorContext:
    return DetectorContext(Settings(instruction_models=names), models, Listed())


def test_labels_that_mean_an_instruction_are_added_up(tmp_path: Path) -> None:
    plug = Classifier(_models(tmp_path), "plug")
    shares = np.exp([2.0, 5.0, 4.0]) / np.exp([2.0, 5.0, 4.0]).sum()
    assert plug.probability("barn obey") == pytest.approx(shares[1:].sum())
    assert plug.probability("barn") < 0.1


def test_one_label_is_a_logit_of_its_own(tmp_path: Path) -> None:
    table = [[-9.0], [-9.0], [-1.0], [-1.0], [3.0], [-1.0]]
    plug = Classifier(_models(tmp_path, table, labels=["bad"], instructs=["bad"]), "plug")
    assert plug.probability("obey") == pytest.approx(1 / (1 + np.exp(-3)))


def test_the_surest_window_counts_and_their_number_is_bounded(tmp_path: Path) -> None:
    models = _models(tmp_path)
    plug = Classifier(models, "plug")
    assert plug.probability("barn " * 60 + "obey") == pytest.approx(plug.probability("obey"))
    models.sessions["plug"].rows.clear()  # type: ignore[attr-defined]
    plug.probability("barn " * 5_000)
    assert sum(models.sessions["plug"].rows) == 32  # type: ignore[attr-defined]


def test_the_even_point_of_the_manifest_scores_one_half(tmp_path: Path) -> None:
    given = Classifier(_models(tmp_path), "plug").probability("obey")
    assert Classifier(_models(tmp_path, even=given), "plug").score("obey") == pytest.approx(0.5)
    assert Classifier(_models(tmp_path, even=0.5), "plug").score("obey") == pytest.approx(given)


@pytest.mark.parametrize(
    ("spec", "table"),
    [
        ({"instructs": ["evil"]}, None),
        ({"stride": 7}, None),
        ({"max_length": 2}, None),
        ({"even": 1.0}, None),
        ({"probe": 0.999}, None),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(tmp_path: Path, spec: dict[str, Any], table: None) -> None:
    with pytest.raises(ModelIntegrityError):
        Classifier(_models(tmp_path, table, **spec), "plug")


@pytest.mark.parametrize("table", [[[float("nan")] * 3] * 6, [[1.0, 2.0]] * 6])
def test_what_is_no_probability_of_its_labels_is_a_detection_error(tmp_path: Path, table: list[list[float]]) -> None:
    plug = Classifier(_models(tmp_path, table), "plug")
    with pytest.raises(DetectionError, match="plug"):
        plug.probability("barn")


def test_the_detector_asks_it_too(tmp_path: Path) -> None:
    models = _models(tmp_path)
    detector = InjectionDetector(_context(models, "plug"))
    assert detector.models[-1] == "plug"
    assert best_scores(detector.detect(asked("barn obey")).signals)["injection.instruction"] >= 0.5
    assert best_scores(detector.detect(asked("barn")).signals).get("injection.instruction", 0.0) < 0.5
    hidden = "a barn" + "".join(chr(0xE0000 + ord(letter)) for letter in "obey obey nothing")
    assert best_scores(detector.detect(asked(hidden)).signals)["injection.concealed"] >= 0.5


def test_a_name_without_a_model_is_known_at_start(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="absent"):
        InjectionDetector(_context(_models(tmp_path), "absent"))
