"""The same towers on torch, for GPUs that ONNX Runtime does not serve: same files, same digests, same answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import ModelProvider, ModelSession
from guardrail.errors import DetectionError, ModelError, ModelIntegrityError
from guardrail.inference.clip import IDS, PIXELS, text_part
from guardrail.inference.export.checkpoints import features, rebuilt
from guardrail.inference.export.tools import CONFIG_FILE, WEIGHTS_FILE, need

_SUFFIX = text_part("")


class TorchSession:
    """One tower on a torch device; answers like the ONNX session of that tower."""

    def __init__(self, name: str, model: Any, run: Any, label: str, device: str) -> None:
        self._name, self._model, self._run, self._label, self._device = name, model, run, label, device
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """[(n, vector) float32].

        Raises:
            DetectionError: torch failed.
        """
        torch = need("torch")
        try:
            with self._lock, torch.inference_mode():
                fed = torch.from_numpy(np.ascontiguousarray(inputs[self._label])).to(self._device)
                return [self._run(self._model, fed).float().cpu().numpy()]
        except (RuntimeError, ValueError, KeyError) as error:
            raise DetectionError(f"model {self._name!r} failed to run ({type(error).__name__})") from error


class TorchModels:
    """A `ModelProvider` whose CLIP towers run on torch.

    Args:
        models: where the verified files come from.
        device: such as "cuda:0" or "cpu".
    """

    def __init__(self, models: ModelProvider, device: str) -> None:
        self._models, self._device = models, device
        self._loaded: dict[str, tuple[Any, Any, Any]] = {}
        self._lock = threading.Lock()

    def session(self, name: str) -> ModelSession:
        """A tower of a CLIP that was exported with --keep-torch.

        Raises:
            ConfigurationError: torch is not installed.
            ModelError: the model has no torch weights, or the device does not exist.
            ModelMissingError, ModelIntegrityError: its files are missing or others.
        """
        whole = name.removesuffix(_SUFFIX)
        with self._lock:
            if whole not in self._loaded:
                self._loaded[whole] = self._load(whole)
            model, image, text = self._loaded[whole]
        run, label = (image, PIXELS) if name == whole else (text, IDS)
        return TorchSession(name, model, run, label, self._device)

    def file(self, name: str, file: str | None = None) -> Path:
        """As the provider below."""
        return self._models.file(name, file)

    def digest(self, name: str) -> str:
        """As the provider below: of the ONNX tower that was compared with these weights at the export."""
        return self._models.digest(name)

    def _load(self, name: str) -> tuple[Any, Any, Any]:
        try:
            weights, config = self._models.file(name, WEIGHTS_FILE), self._models.file(name, CONFIG_FILE)
        except ModelError as error:
            if "has no file" not in error.message:
                raise
            raise ModelError(
                f"model {name!r} holds no torch weights", advice="Export it again with --keep-torch."
            ) from error
        said = json.loads(config.read_text(encoding="utf-8"))
        state = need("safetensors.torch").load_file(str(weights))
        try:
            model = rebuilt(said)
            model.load_state_dict(state)
            return model.to(self._device).eval(), *features(said["library"])
        except (RuntimeError, KeyError, TypeError, ValueError, AssertionError) as error:
            raise ModelIntegrityError(
                f"model {name!r} does not load on torch device {self._device!r} ({type(error).__name__})",
                advice="Check `clip_device`, and the versions of open_clip and transformers.",
            ) from error
