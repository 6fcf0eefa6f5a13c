"""Models made on this machine: known beside the shipped ones, used in place, never fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from guardrail.errors import ConfigurationError, ModelError, ModelIntegrityError, ModelMissingError, ModelSourceError
from guardrail.inference import ModelStore, known, load_catalogue, own_folder, pull, verify
from guardrail.inference.export.parity import compared, cost, kept_cosine
from guardrail.inference.export.tools import forget, opened, quantise, seal, workshop
from guardrail.inference.sources import deliver
from guardrail.settings import Settings, load_settings
from tests.vision.concepts.tiny import write_clip


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    settings = load_settings(data_dir=tmp_path / "data", models_dir=tmp_path / "cache")
    write_clip(own_folder(settings))
    return settings


def test_they_stand_beside_the_shipped_ones(place: Settings) -> None:
    catalogue = known(place)
    assert set(load_catalogue()) | {"colours", "colours-text"} == set(catalogue)
    states = {state.name: state.state for state in verify(place)}
    assert (states["colours"], states["colours-text"]) == ("ok", "ok")
    store = ModelStore(place)
    assert store.file("colours") == own_folder(place) / "colours" / "image.onnx"
    assert store.digest("colours").startswith("sha256:")


def test_pull_checks_them_and_fetches_nothing(place: Settings) -> None:
    pull(["colours"], place)
    path = own_folder(place) / "colours" / "image.onnx"
    kept = path.read_bytes()
    path.write_bytes(kept + b"x")
    with pytest.raises(ModelIntegrityError):
        pull(["colours"], place)
    path.unlink()
    with pytest.raises(ModelMissingError) as caught:
        pull(["colours"], place)
    assert "models export" in caught.value.advice
    spec = known(place)["colours"].file()
    with pytest.raises(ModelSourceError, match="not fetched"):
        deliver(spec.sources[0], spec, work=place.data_dir, shipped=place.data_dir, hub="", advance=lambda size: None)


def test_two_models_of_one_name_are_refused(place: Settings, tmp_path: Path) -> None:
    twin = place.model_copy(update={"manifests": (write_clip(tmp_path / "more"),)})
    with pytest.raises(ConfigurationError, match="'colours'"):
        known(twin)


@pytest.mark.parametrize("path", ["../colours/image.onnx", "/etc/passwd", "colours/../../x", "colours/sub/image.onnx"])
def test_a_manifest_cannot_point_outside_its_folder(place: Settings, path: str) -> None:
    manifest = own_folder(place) / "colours.yaml"
    said = yaml.safe_load(manifest.read_text())
    said["files"][0]["sources"][0]["path"] = path
    manifest.write_text(yaml.safe_dump(said))
    with pytest.raises(ConfigurationError, match="path"):
        known(place)


def test_an_export_again_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    about = {"licence": "CC0-1.0", "author": "test", "task": "test", "card": "test"}
    for files in (["a.bin", "b.bin"], ["c.bin"]):
        with workshop(tmp_path, "net") as work:
            for name in files:
                (work / name).write_bytes(name.encode())
            forget(tmp_path, "net")
            manifest = seal(work, tmp_path, "net", files, "test", **about)
    assert [item.name for item in (tmp_path / "net").iterdir()] == ["c.bin"]
    assert manifest.file().size == 5
    assert not [item for item in tmp_path.iterdir() if item.is_dir() and item.name.startswith(".")]


def _product(path: Path, matrix: np.ndarray) -> Path:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", matrix.shape[0]])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", matrix.shape[1]])
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", [given], [out], [numpy_helper.from_array(matrix, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_parity_is_measured_and_its_bars_hold(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    matrix, rows = dice.normal(size=(64, 32)).astype(np.float32), dice.normal(size=(5, 64)).astype(np.float32)
    path = _product(tmp_path / "a.onnx", matrix)
    assert compared(path, "x", rows, rows @ matrix, "tower") < 1e-4
    with pytest.raises(ModelIntegrityError, match="differs from the checkpoint"):
        compared(path, "x", rows, rows @ matrix + 1e-3, "tower")
    with pytest.raises(ModelIntegrityError):
        compared(path, "x", rows, rows @ matrix * np.float32("nan"), "tower")
    quantise(path, tmp_path / "b.onnx")
    assert (tmp_path / "b.onnx").stat().st_size < path.stat().st_size
    assert 0.99 <= kept_cosine(tmp_path / "b.onnx", "x", rows, rows @ matrix, "tower") <= 1.0
    with pytest.raises(ModelIntegrityError, match="keeps only a cosine"):
        kept_cosine(tmp_path / "b.onnx", "x", rows, dice.normal(size=(5, 32)), "tower")
    assert cost(path, "x", rows) >= 0.0
    assert opened(path).run(None, {"x": rows})[0].shape == (5, 32)


def test_a_model_without_torch_weights_has_no_torch_backend(place: Settings) -> None:
    from guardrail.inference.export.backend import TorchModels

    with pytest.raises(ModelError, match="no torch weights") as caught:
        TorchModels(ModelStore(place), "cpu").session("colours")
    assert "--keep-torch" in caught.value.advice
