import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from guardrail.errors import DetectionError, ModelIntegrityError, RuntimeMissingError
from guardrail.inference import Catalogue, ModelStore, store
from guardrail.inference.manifest import FileSpec, Manifest, ShippedSource
from guardrail.settings import load_settings


def _store(tmp_path: Path, data: bytes) -> ModelStore:
    import hashlib

    digest = hashlib.sha256(data).hexdigest()
    source = ShippedSource(kind="shipped", path="net.onnx")
    spec = FileSpec(name="net.onnx", sources=[source], source_sha256=digest, sha256=digest, size=len(data))
    manifest = Manifest(name="net", task="test", files=[spec], licence="CC0-1.0", author="test", card="card")
    settings = load_settings(models_dir=tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "net.onnx").write_bytes(data)
    return ModelStore(settings, Catalogue({"net": manifest}, tmp_path))


def _doubling() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [value], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_a_session_runs_and_names_its_inputs(tmp_path: Path) -> None:
    session = _store(tmp_path, _doubling()).session("net")
    assert session.inputs == ("x",)
    np.testing.assert_array_equal(session.run({"x": np.array([1, 2], np.float32)})[0], [2, 4])


def test_a_wrong_input_is_a_detection_error_without_the_runtimes_words(tmp_path: Path) -> None:
    session = _store(tmp_path, _doubling()).session("net")
    with pytest.raises(DetectionError, match="failed to run"):
        session.run({"x": np.zeros((3, 3), np.float32)})


def test_a_file_that_is_no_network_is_an_integrity_error(tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match="does not load"):
        _store(tmp_path, b"not a network").session("net")


def test_both_runtimes_are_refused_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "version", lambda name: "1.0")
    with pytest.raises(RuntimeMissingError, match="overwrite each other") as caught:
        store.load_runtime()
    assert "pip uninstall" in caught.value.advice


@pytest.mark.slow
def test_the_runtime_reports_to_nobody(tmp_path: Path) -> None:
    net = tmp_path / "net.onnx"
    net.write_bytes(_doubling())
    code = (
        "from guardrail.inference.store import load_runtime\n"
        f"load_runtime().InferenceSession({str(net)!r}, providers=['CPUExecutionProvider'])\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_no_runtime_is_refused_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(store, "version", absent)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissingError, match="no ONNX Runtime") as caught:
        store.load_runtime()
    assert "guardrail[cpu]" in caught.value.advice
