"""What every exporter needs: torch on demand, a module as ONNX, quantising, a manifest with digests."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from guardrail.errors import ConfigurationError, GuardrailError, ModelError, ModelSourceError
from guardrail.inference.manifest import ExportedSource, FileSpec, Manifest, load_catalogue
from guardrail.inference.store import load_runtime

OPSET = 17
WEIGHTS_FILE, CONFIG_FILE = "torch.safetensors", "torch.json"
_MAX_PROTOBUF = 2**31 - 2**24


def need(module: str) -> Any:
    """Import a module of the extra `export`.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{module} is not installed", advice="Run: pip install 'guardrail[export]' (torch; about 5.5 GB)."
        ) from error


def to_onnx(
    module: Any, example: Mapping[str, Any], outputs: Sequence[str], path: Path, axes: Mapping[str, Mapping[int, str]]
) -> None:
    """Write a torch module as one ONNX file.

    Args:
        module: in evaluation mode; its `forward` takes the tensors of `example` in order.
        example: input name -> tensor.
        outputs: names of the outputs.
        path: file to write.
        axes: input or output name -> axis -> name of the size that may change.

    Raises:
        ModelError: the weights do not fit into one file, or torch cannot trace the module.
    """
    torch = need("torch")
    size = sum(item.numel() * item.element_size() for item in [*module.parameters(), *module.buffers()])
    if size > _MAX_PROTOBUF:
        raise ModelError(f"{size / 1e9:.1f} GB of weights do not fit into one ONNX file", advice="Use a smaller model.")
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings(), torch.no_grad():
        # the tracer warns of shapes that it takes for constants; parity is checked at two batch sizes instead
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                module,
                tuple(example.values()),
                str(path),
                input_names=list(example),
                output_names=list(outputs),
                dynamic_axes={name: dict(value) for name, value in axes.items()},
                opset_version=OPSET,
                dynamo=False,
            )
        except (RuntimeError, TypeError, NotImplementedError, ValueError) as error:
            raise ModelError(
                f"torch cannot trace this model ({type(error).__name__})",
                advice="Report the architecture; pictures of a fixed size and standard layers are supported.",
            ) from error


def quantise(path: Path, into: Path) -> None:
    """Weights of matrix products as int8 per channel, activations at run time (dynamic quantisation)."""
    load_runtime()
    tools = importlib.import_module("onnxruntime.quantization")
    root = logging.getLogger()
    level = root.level
    # it advises on the root logger to simplify the graph first, which exported towers do not need
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tools.quantize_dynamic(
                str(path),
                str(into),
                per_channel=True,
                weight_type=tools.QuantType.QInt8,
                op_types_to_quantize=["MatMul", "Gemm"],
            )
    finally:
        root.setLevel(level)


def opened(path: Path) -> Any:
    """A plain one-thread CPU session, for measuring."""
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])


@contextmanager
def opening(source: str, advice: str = "Give a folder with a checkpoint, or a hub id.") -> Iterator[None]:
    """Whatever libraries raise while a checkpoint is opened, as one of our errors without their pages of text.

    Raises:
        ModelSourceError: a file cannot be read.
        ModelError: it is no checkpoint that they know.
    """
    try:
        yield
    except (GuardrailError, MemoryError, AttributeError, NameError):
        raise
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        kind = ModelSourceError if isinstance(error, OSError) else ModelError
        raise kind(f"{source!r} cannot be opened: {said}", advice=advice) from error


def named(source: str, name: str | None) -> str:
    """The name of a model, made from its source when None.

    Raises:
        ConfigurationError: it is taken or unusable.
    """
    name = name or re.sub(r"[^a-z0-9]+", "-", Path(source).name.lower()).strip("-")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ConfigurationError(f"{name!r} is no name of a model", advice="Give --name in lower case letters.")
    if name in set(load_catalogue()):
        raise ConfigurationError(f"a shipped model is called {name!r}", advice="Give another --name.")
    return name


@contextmanager
def workshop(folder: Path, name: str) -> Iterator[Path]:
    """A folder to work in, on the same disk as the result; one export of a name at a time.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"), tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as work:
            yield Path(work)
    except PermissionError as error:
        raise ConfigurationError(f"{folder} cannot be written", advice="Give another folder with --out.") from error


def seal(work: Path, folder: Path, name: str, files: Sequence[str], origin: str, **fields: Any) -> Manifest:
    """Move finished files to `folder/name` and write the manifest that pins them; the first file holds the weights.

    Args:
        work: where the files are.
        folder: where manifests are.
        name: of the model.
        files: names, weights first.
        origin: what it was made from, for the advice when a file is missing.
        fields: other fields of `Manifest`.
    """
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    specs = []
    for item in files:
        with (work / item).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        source = ExportedSource(kind="exported", path=f"{name}/{item}", origin=origin)
        size = (work / item).stat().st_size
        specs.append(FileSpec(name=item, sources=[source], source_sha256=digest, sha256=digest, size=size))
        os.replace(work / item, target / item)
    manifest = Manifest(name=name, files=specs, **fields)
    text = yaml.safe_dump(manifest.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    draft = work / f"{name}.yaml"
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, folder / draft.name)
    return manifest


def forget(folder: Path, name: str) -> None:
    """Take an earlier export of that name away, manifest first."""
    (folder / f"{name}.yaml").unlink(missing_ok=True)
    shutil.rmtree(folder / name, ignore_errors=True)
