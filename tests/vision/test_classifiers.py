from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from guardrail.detector import DetectorContext
from guardrail.errors import ConfigurationError, DetectionError, ModelIntegrityError
from guardrail.inference import ModelStore, known
from guardrail.inference.manifest import Classifier
from guardrail.settings import Settings
from guardrail.signals import RGB, DecodedPicture, Frame, GenerationRequest, Picture, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector
from guardrail.vision.classifiers import ClassifiersDetector, prepared, shares
from guardrail.vision.pyramid import Level
from tests.vision.tiny import Listed

RED = np.full((40, 60, 3), (250, 10, 10), dtype=np.uint8)
BLUE = np.full((40, 60, 3), (10, 10, 250), dtype=np.uint8)


def _net(weights: Any) -> bytes:
    """A real network: the mean of each channel, through one layer, as logits of (calm, bare)."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixel_values"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.array(weights, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _manifest(folder: Path, data: bytes, **changed: Any) -> dict[str, Any]:
    import hashlib

    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "files" / "tiny.onnx").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    source = {"kind": "exported", "path": "files/tiny.onnx", "origin": "this test"}
    file = {"name": "tiny.onnx", "sources": [source], "source_sha256": digest, "sha256": digest, "size": len(data)}
    how = {"input": "pixel_values", "labels": {"calm": None, "bare": "sexual.explicit"}, "width": 16, "height": 16}
    return {
        "name": "tiny",
        "task": "test",
        "files": [file],
        "licence": "CC0-1.0",
        "author": "test",
        "card": "none",
        "classifier": how | changed,
    }


def _context(folder: Path, weights: Any, **changed: Any) -> DetectorContext:
    manifest = _manifest(folder, _net(weights), **changed)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    settings = Settings(models_dir=folder / "cache", data_dir=folder / "data", manifests=(folder,))
    return DetectorContext(settings, ModelStore(settings, known(settings)), Listed())


def _subject(*frames: RGB) -> Subject:
    shown = tuple(Frame(at, rgb) for at, rgb in enumerate(frames))
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=DecodedPicture(Picture(b""), "png", 60, 40, shown))


SEES_RED = [[0, 5], [0, 0], [0, -5]]


def test_a_manifest_makes_a_detector(tmp_path: Path) -> None:
    detector = ClassifiersDetector(_context(tmp_path, SEES_RED))
    assert detector.emits == {"sexual.explicit"}
    assert detector.models == ("tiny",)
    assert best_scores(detector.detect(_subject(RED)).signals)["sexual.explicit"] > 0.99
    assert best_scores(detector.detect(_subject(BLUE)).signals)["sexual.explicit"] < 0.01
    check_detector(detector)


def test_the_worst_frame_counts_and_is_named(tmp_path: Path) -> None:
    detection = ClassifiersDetector(_context(tmp_path, SEES_RED)).detect(_subject(*([BLUE] * 12), RED))
    (signal,) = detection.signals
    assert (signal.score > 0.99, signal.evidence[0].frame, signal.evidence[0].ref) == (True, 12, "tiny")
    assert signal.evidence[0].detail == {"label": "bare"}
    assert detection.coverage.inspected == ("vision.classifiers:tiny:frames=13",)


def test_no_number_closes_the_look(tmp_path: Path) -> None:
    detector = ClassifiersDetector(_context(tmp_path, [[0, np.nan], [0, 0], [0, 0]]))
    with pytest.raises(DetectionError):
        detector.detect(_subject(RED))


def test_a_swapped_file_is_refused(tmp_path: Path) -> None:
    detector = ClassifiersDetector(_context(tmp_path, SEES_RED))
    (tmp_path / "files" / "tiny.onnx").write_bytes(_net([[0, 0], [0, 0], [0, 0]]))
    with pytest.raises(ModelIntegrityError):
        detector.detect(_subject(RED))


@pytest.mark.parametrize(
    "labels", [{"calm": None}, {"bare": "sexual.explict"}, {}], ids=["raises nothing", "misspelt", "none"]
)
def test_a_manifest_that_cannot_work_does_not_load(tmp_path: Path, labels: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        _context(tmp_path, SEES_RED, labels=labels)


@pytest.mark.parametrize(("layout", "shape"), [("nchw", (3, 12, 20)), ("nhwc", (12, 20, 3))])
def test_preparation(layout: Any, shape: tuple[int, ...]) -> None:
    how = Classifier(input="x", labels={"a": "sexual.nudity"}, width=20, height=12, layout=layout)
    values = prepared(Level(0, RED), how)
    assert values.shape == shape
    assert sorted({round(float(value), 2) for value in values.ravel()}) == [-0.92, 0.96]


@pytest.mark.parametrize(
    ("activation", "output", "wanted"),
    [("softmax", [0, 0], [0.5, 0.5]), ("sigmoid", [0, 100], [0.5, 1.0]), ("none", [0.25, 0.75], [0.25, 0.75])],
)
def test_numbers_become_probabilities(activation: Any, output: list[float], wanted: list[float]) -> None:
    how = Classifier(input="x", labels={"a": None, "b": "sexual.nudity"}, activation=activation)
    assert shares(np.array([output], np.float32), how, "net", 1)[0] == pytest.approx(wanted)
    with pytest.raises(DetectionError):
        shares(np.array([[0.5]], np.float32), how, "net", 1)
    if activation == "none":
        with pytest.raises(DetectionError):
            shares(np.array([[0.5, 1.5]], np.float32), how, "net", 1)


def test_the_even_point_of_a_manifest_is_half() -> None:
    how = Classifier(input="x", labels={"a": None, "b": "sexual.nudity"}, even=0.9)
    found = shares(np.array([[0, np.log(9)], [0, 0], [0, 50], [50, 0]], np.float32), how, "net", 4)[:, 1]
    assert found == pytest.approx([0.5, 0.1, 1.0, 0.0], abs=1e-4)
