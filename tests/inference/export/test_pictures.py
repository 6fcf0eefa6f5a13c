"""Tiny random classifiers of the architectures of public nudity classifiers: exported, run, plugged in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from guardrail.cli import cli
from guardrail.detector import DetectorContext
from guardrail.errors import ConfigurationError, ModelError, ModelIntegrityError
from guardrail.inference import ModelStore, known
from guardrail.inference.clip import probe_picture
from guardrail.inference.export import export_pictures
from guardrail.settings import load_settings
from guardrail.signals import RGB, DecodedPicture, Frame, GenerationRequest, Picture, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.vision.classifiers import ClassifiersDetector
from tests.vision.tiny import Listed

pytestmark = [pytest.mark.export, pytest.mark.slow, pytest.mark.filterwarnings("default")]

SIDE = 64
SIZE = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
LABELS = {"id2label": {0: "normal", 1: "nsfw"}, "label2id": {"normal": 0, "nsfw": 1}}


def _vit(folder: Path) -> Path:
    """As Falconsai's and AdamCodd's: ViT of transformers, pictures squeezed whole."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(4)
    config = ViTConfig(**SIZE, **LABELS, image_size=SIDE, patch_size=16, initializer_range=0.2)
    ViTForImageClassification(config).eval().save_pretrained(folder, safe_serialization=True)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}, resample=2).save_pretrained(folder)
    return folder


def _timm(folder: Path) -> Path:
    """As Marqo's: a tiny ViT of timm with its own kind of config.json, pictures cropped to the middle."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(5)
    shape = {"img_size": SIDE, "embed_dim": 48, "depth": 2, "num_heads": 3}
    model = timm.create_model("vit_tiny_patch16_384", pretrained=False, num_classes=2, **shape)
    torch.nn.init.normal_(model.head.weight, std=0.5)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    fed = {"input_size": [3, SIDE, SIDE], "interpolation": "bicubic", "crop_pct": 0.9, "mean": [0.5] * 3}
    config = {
        "architecture": "vit_tiny_patch16_384",
        "num_classes": 2,
        "label_names": ["NSFW", "SFW"],
        "model_args": shape,
        "pretrained_cfg": fed | {"std": [0.5] * 3, "num_classes": 2},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


KINDS = {"vit": (_vit, "nsfw"), "timm": (_timm, "NSFW")}


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    make, label = KINDS[request.param]
    return make(tmp_path_factory.mktemp(request.param) / "checkpoint"), label


def _exported(folder: Path, label: str, out: Path, *options: str) -> dict[str, Any]:
    given = ["models", "export", str(folder), "--raises", f"{label}=sexual.explicit", "--out", str(out)]
    done = CliRunner().invoke(cli, [*given, "--name", "small", "--json", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _score(out: Path, data: Path, rgb: RGB) -> float:
    settings = load_settings(data_dir=data, manifests=(out,))
    detector = ClassifiersDetector(DetectorContext(settings, ModelStore(settings, known(settings)), Listed()))
    assert detector.models == ("small",)
    shown = DecodedPicture(Picture(b""), "png", rgb.shape[1], rgb.shape[0], (Frame(0, rgb),))
    subject = Subject(Stage.OUTPUT, GenerationRequest(), picture=shown)
    return best_scores(detector.detect(subject).signals)["sexual.explicit"]


def _theirs(folder: Path, label: str, rgb: RGB) -> float:
    """What the library says of a square picture as large as the network takes."""
    import torch
    from transformers import AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    assert rgb.shape == (SIDE, SIDE, 3)
    pixels = torch.from_numpy((rgb.astype(np.float32) / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        found = model(pixel_values=pixels).logits.softmax(-1)[0]
    return float(found[[model.config.id2label[at] for at in range(2)].index(label)])


def _pictures() -> list[RGB]:
    drawn = np.asarray(probe_picture().resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return [drawn, 255 - drawn, np.full_like(drawn, 90)]


def test_scores_are_those_of_the_library(checkpoint: tuple[Path, str], tmp_path: Path) -> None:
    folder, label = checkpoint
    report = _exported(folder, label, tmp_path / "out")
    assert max(report["error"].values()) <= 1e-4
    assert report["preprocessing"] <= 0.05
    wanted = [_theirs(folder, label, rgb) for rgb in _pictures()]
    assert np.ptp(wanted) > 0.01
    assert [_score(tmp_path / "out", tmp_path, rgb) for rgb in _pictures()] == pytest.approx(wanted, abs=1e-4)


def test_int8_moves_no_probability_far(checkpoint: tuple[Path, str], tmp_path: Path) -> None:
    folder, label = checkpoint
    _exported(folder, label, tmp_path / "out", "--int8")
    for rgb in _pictures():
        assert _score(tmp_path / "out", tmp_path, rgb) == pytest.approx(_theirs(folder, label, rgb), abs=0.06)


def test_the_even_point_is_half(checkpoint: tuple[Path, str], tmp_path: Path) -> None:
    folder, label = checkpoint
    rgb = _pictures()[0]
    even = _theirs(folder, label, rgb)
    _exported(folder, label, tmp_path / "out", "--even", f"{even:.6f}")
    assert _score(tmp_path / "out", tmp_path, rgb) == pytest.approx(0.5, abs=1e-3)


def test_what_is_not_usable_is_refused(tmp_path: Path) -> None:
    folder, out = _vit(tmp_path / "checkpoint"), tmp_path / "out"
    with pytest.raises(ConfigurationError, match=r"no class of .* is called 'porn'") as refused:
        export_pictures(str(folder), out, raises={"porn": "sexual.explicit"}, name="small")
    assert "normal, nsfw" in refused.value.advice
    with pytest.raises(ConfigurationError, match=r"did you mean 'sexual\.explicit'"):
        export_pictures(str(folder), out, raises={"nsfw": "sexual.explict"}, name="small")
    with pytest.raises(ModelError, match="cannot be opened"):
        export_pictures(str(tmp_path / "nowhere"), out, raises={"nsfw": "sexual.explicit"}, name="small")
    prepared = json.loads((folder / "preprocessor_config.json").read_text())
    for change, fault in (({"do_rescale": False}, ModelIntegrityError), ({"resample": 0}, ModelError)):
        (folder / "preprocessor_config.json").write_text(json.dumps(prepared | change))
        with pytest.raises(fault):
            export_pictures(str(folder), out, raises={"nsfw": "sexual.explicit"}, name="small")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["ViTModel"]}))
    with pytest.raises(ModelError, match="classifies no pictures"):
        export_pictures(str(folder), out, raises={"nsfw": "sexual.explicit"}, name="small")
    assert not [*out.glob("*.yaml")]
