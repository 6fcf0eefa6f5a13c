"""Classifiers on embeddings: every layout against plain arithmetic, files that are not what they should be."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from guardrail.errors import ConfigurationError, ModelIntegrityError, ModelMissingError
from guardrail.inference.arrays import read_arrays, safetensors
from guardrail.signals import best_scores
from guardrail.vision.concepts.embedding import encoder
from guardrail.vision.concepts.head import HeadsOnClip
from guardrail.vision.concepts.layers import distances, mlp
from tests.vision.concepts.tiny import WIDTH, context, plain, shown

RED, BLUE = plain(230, 20, 20), plain(20, 20, 230)
DICE = np.random.default_rng(9)


def _packed(arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """The bytes of a safetensors file."""
    header, body = {}, b""
    for name, item in arrays.items():
        kind = {"float32": "F32", "float16": "F16", "float64": "F64"}[item.dtype.name]
        data = item.tobytes()
        header[name] = {"dtype": kind, "shape": list(item.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def _head(folder: Path, arrays: dict[str, np.ndarray[Any, Any]], suffix: str = "safetensors", **fields: Any) -> Any:
    path = folder / f"head.{suffix}"
    if suffix == "npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        path.write_bytes(_packed(arrays))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    given = {"kind": "mlp", "file": path, "sha256": digest, "signals": ("sexual.nudity",)} | fields
    place = context(folder, clip_heads=(given,))
    return HeadsOnClip(place, encoder(place))


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_a_linear_head(tmp_path: Path, suffix: str) -> None:
    arrays = {"weight": np.array([[4, -4, -4, 0]], np.float32), "bias": np.array([-1], np.float32)}
    head = _head(tmp_path, arrays, suffix, kind="linear")
    found = best_scores(head.detect(shown(RED)).signals)["sexual.nudity"]
    vector = head._clip.images([Image.fromarray(RED)])[0]
    assert found == pytest.approx(1 / (1 + math.exp(-(float(vector @ arrays["weight"][0]) - 1))), abs=1e-5)
    assert best_scores(head.detect(shown(BLUE)).signals)["sexual.nudity"] < 0.5 < found
    (example,) = head.examples()
    assert set(best_scores(head.detect(example.subject).signals)) == set(head.emits)


def _laion_like() -> dict[str, np.ndarray[Any, Any]]:
    """Dense layers with ReLU and one output after a normalisation, as the published NSFW head has them."""
    sizes = (WIDTH, 6, 5, 1)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "mean": DICE.normal(size=WIDTH).astype(np.float32),
        "variance": DICE.uniform(0.5, 2, WIDTH).astype(np.float32),
    }
    for at, (wide, out) in enumerate(itertools.pairwise(sizes)):
        # numbers above nine, so that the order is by number and not by letter
        arrays[f"layers.{at * 5}.weight"] = DICE.normal(size=(out, wide)).astype(np.float32)
        arrays[f"layers.{at * 5}.bias"] = DICE.normal(size=out).astype(np.float32)
    return arrays


def test_an_mlp_is_what_its_layers_say_either_way_round() -> None:
    arrays = _laion_like()
    row = DICE.normal(size=WIDTH).astype(np.float32)
    wanted = (row - arrays["mean"]) / np.sqrt(arrays["variance"])
    for at in (0, 5, 10):
        wanted = arrays[f"layers.{at}.weight"] @ wanted + arrays[f"layers.{at}.bias"]
        wanted = wanted if at == 10 else np.where(wanted > 0, wanted, 0)
    assert mlp(arrays, WIDTH, "x").logits(row[None])[0, 0] == pytest.approx(float(wanted[0]), rel=1e-5)
    keras = {key.replace("weight", "kernel"): item.T if "weight" in key else item for key, item in arrays.items()}
    assert mlp(keras, WIDTH, "x").logits(row[None])[0, 0] == pytest.approx(float(wanted[0]), rel=1e-5)


def test_softmax_outputs_share_one_probability(tmp_path: Path) -> None:
    arrays = {"0.weight": DICE.normal(size=(3, WIDTH)).astype(np.float32), "0.bias": np.zeros(3, np.float32)}
    names = ("sexual.explicit", "", "harm.graphic")
    head = _head(tmp_path, arrays, signals=names, softmax=True)
    found = best_scores(head.detect(shown(RED)).signals)
    assert set(found) == {"sexual.explicit", "harm.graphic"}
    assert sum(found.values()) < 1


def test_distances_are_those_of_the_diffusers_checker_and_can_be_edited() -> None:
    concepts = DICE.normal(size=(3, WIDTH)).astype(np.float32)
    even = np.array([0.2, 0.1, 0.3], np.float32)
    care, care_even = DICE.normal(size=(1, WIDTH)).astype(np.float32), np.array([-1.5], np.float32)
    arrays = {
        "concept_embeds": concepts,
        "concept_embeds_weights": even,
        "special_care_embeds": care,
        "special_care_embeds_weights": care_even,
    }
    row = DICE.normal(size=WIDTH).astype(np.float32)
    row /= np.linalg.norm(row)
    cosines = [float(row @ item) / float(np.linalg.norm(item)) for item in concepts]
    none = np.zeros((0, WIDTH), np.float32)
    wanted = 100 * (max(cosine - limit for cosine, limit in zip(cosines, even, strict=True)) + 0.01)
    found = distances(arrays, WIDTH, "x", (), none, ())
    assert found.logits(row[None])[0, 0] == pytest.approx(wanted, rel=1e-4, abs=1e-3)
    best = int(np.argmax([cosine - limit for cosine, limit in zip(cosines, even, strict=True)]))
    assert distances(arrays, WIDTH, "x", (best,), none, ()).logits(row[None])[0, 0] < wanted
    more = distances(arrays, WIDTH, "x", (0, 1, 2), row[None], (0.25,))
    assert more.logits(row[None])[0, 0] == pytest.approx(100 * (1 - 0.25 + 0.01), rel=1e-4)
    with pytest.raises(ModelIntegrityError, match="no concept is left"):
        distances(arrays, WIDTH, "x", (0, 1, 2), none, ())
    with pytest.raises(ModelIntegrityError):
        distances(arrays, WIDTH, "x", (3,), none, ())


def test_words_of_the_settings_are_concepts_too(tmp_path: Path) -> None:
    arrays = {
        "concept_embeds": np.array([[0, 0, 1, 0]], np.float32),
        "concept_embeds_weights": np.array([0.9], np.float32),
    }
    head = _head(tmp_path, arrays, kind="distance", drop=(0,), words={"a red thing": 0.9})
    assert best_scores(head.detect(shown(RED)).signals)["sexual.nudity"] > 0.5
    assert best_scores(head.detect(shown(BLUE)).signals)["sexual.nudity"] < 0.5


@pytest.mark.parametrize(
    ("arrays", "fields", "kind"),
    [
        ({"weight": np.ones((1, 3), np.float32), "bias": np.ones(1, np.float32)}, {"kind": "linear"},
         ModelIntegrityError),
        ({"weight": np.ones((1, WIDTH), np.float32)}, {"kind": "linear"}, ModelIntegrityError),
        ({"weight": np.full((1, WIDTH), np.nan, np.float32), "bias": np.ones(1, np.float32)}, {"kind": "linear"},
         ModelIntegrityError),
        ({"x": np.ones(2, np.float32)}, {}, ModelIntegrityError),
        ({"0.weight": np.ones((2, WIDTH), np.float32), "0.bias": np.ones(2, np.float32)}, {}, ConfigurationError),
        ({"0.weight": np.ones((1, WIDTH), np.float32), "0.bias": np.ones(1, np.float32)},
         {"signals": ("sexual.nudty",)}, ConfigurationError),
        ({"0.weight": np.ones((1, WIDTH), np.float32), "0.bias": np.ones(1, np.float32)}, {"drop": (0,)},
         ConfigurationError),
        ({"0.weight": np.ones((1, WIDTH), np.float32), "0.bias": np.ones(1, np.float32)}, {"sha256": "0" * 64},
         ModelIntegrityError),
    ],
)  # fmt: skip
def test_heads_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, Any], fields: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        _head(tmp_path, arrays, **fields)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path.touch, (tmp_path / "opened",))  # type: ignore[return-value]

    np.savez(tmp_path / "a.npz", weight=np.array([Trap()], dtype=object))
    (tmp_path / "b.bin").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npz", "b.bin"):
        data = (tmp_path / name).read_bytes()
        with pytest.raises(ModelIntegrityError):
            read_arrays(tmp_path / name, hashlib.sha256(data).hexdigest())
    with pytest.raises(ModelMissingError):
        read_arrays(tmp_path / "none", "0" * 64)
    assert not (tmp_path / "opened").exists()


@given(data=st.binary(max_size=200))
def test_any_bytes_are_arrays_or_a_typed_error(data: bytes) -> None:
    for file in (data, len(data).to_bytes(8, "little") + data):
        with contextlib.suppress(ModelIntegrityError):
            safetensors(file, "x")


@given(
    begin=st.integers(-5, 50), end=st.integers(-5, 50), shape=st.lists(st.integers(-2, 5), max_size=3),
    dtype=st.sampled_from(["F32", "BF16", "I64", "X"]),
)  # fmt: skip
def test_headers_never_reach_outside(begin: int, end: int, shape: list[int], dtype: str) -> None:
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}).encode()
    try:
        (found,) = safetensors(len(header).to_bytes(8, "little") + header + bytes(32), "x").values()
    except ModelIntegrityError:
        return
    assert list(found.shape) == shape
    assert 0 <= begin <= end <= 32


def test_halves_are_widened() -> None:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    data = np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16
    found = safetensors(len(header).to_bytes(8, "little") + header + data.astype("<u2").tobytes(), "x")
    assert found["a"].tolist() == [1.5, -2.0]
