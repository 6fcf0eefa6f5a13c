"""Verified weights as ONNX Runtime sessions: one a model a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from guardrail.errors import DetectionError, ModelIntegrityError, RuntimeMissingError
from guardrail.inference.manifest import Catalogue, known
from guardrail.inference.pull import verified
from guardrail.settings import Settings

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
_QUIET = 3


class OnnxSession:
    """One loaded network. ONNX Runtime sessions may run on several threads at once."""

    def __init__(self, name: str, session: Any) -> None:
        self._name = name
        self._session = session

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, preferred first."""
        return tuple(self._session.get_providers())

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs."""
        return tuple(item.name for item in self._session.get_inputs())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """All outputs in the order of the graph.

        Raises:
            DetectionError: the runtime refused or failed; its message, which names shapes, is not passed on.
        """
        try:
            return list(self._session.run(None, dict(inputs)))
        except Exception as error:
            raise DetectionError(f"model {self._name!r} failed to run ({type(error).__name__})") from error


class ModelStore:
    """`guardrail.detector.ModelProvider` over the cache of pulled weights.

    Each file's sha256 is compared when it is first used in a process, so a swapped file is never loaded.

    Args:
        settings: cache folder, providers, threads.
        catalogue: every known manifest when None.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue | None = None) -> None:
        self._settings = settings
        self._catalogue = catalogue or known(settings)
        self._sessions: dict[str, OnnxSession] = {}
        self._files: dict[tuple[str, str], Path] = {}
        self._lock = threading.Lock()

    def session(self, name: str) -> OnnxSession:
        """The session of model `name`, loaded on first use.

        Raises:
            ModelMissingError, ModelIntegrityError: the weights are not there, or are others.
            RuntimeMissingError: no usable ONNX Runtime.
        """
        found = self._sessions.get(name)
        if found is not None:
            return found
        path = self.file(name)
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = OnnxSession(name, self._load(name, path))
            return self._sessions[name]

    def file(self, name: str, file: str | None = None) -> Path:
        """Path of a verified file; the weights when `file` is None.

        Raises:
            ModelMissingError, ModelIntegrityError: it is not there, or is another file.
            ModelError: the model has no such file.
        """
        manifest = self._catalogue[name]
        spec = manifest.file(file)
        key = (name, spec.name)
        found = self._files.get(key)
        if found is None:
            found = self._files[key] = verified(manifest, spec, self._settings)
        return found

    def digest(self, name: str) -> str:
        """`sha256:…` of the weights that the manifest pins and `session` has compared."""
        return f"sha256:{self._catalogue[name].file().sha256}"

    def _load(self, name: str, path: Path) -> Any:
        runtime = load_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._settings.intra_op_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Keeps quantised weights quantised: without it they are widened again on every run.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        there = runtime.get_available_providers()
        providers = [item for item in self._settings.providers if item in there] or ["CPUExecutionProvider"]
        try:
            return runtime.InferenceSession(str(path), sess_options=options, providers=providers)
        except Exception as error:
            raise ModelIntegrityError(f"model {name!r} does not load ({type(error).__name__})") from error


def load_runtime() -> ModuleType:
    """Import ONNX Runtime.

    Raises:
        RuntimeMissingError: neither distribution is installed, or both are (they overwrite each other's files).
    """
    installed = [name for name in _RUNTIMES if _installed(name)]
    if len(installed) > 1:
        raise RuntimeMissingError(
            "both onnxruntime and onnxruntime-gpu are installed; they overwrite each other",
            advice="Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'guardrail[cpu]' (or [gpu]).",
        )
    # Some builds queue usage events on disk for their maker; a guard reports to nobody.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissingError("no ONNX Runtime is installed") from error
    return onnxruntime  # type: ignore[no-any-return]


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
