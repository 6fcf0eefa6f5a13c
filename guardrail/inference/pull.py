"""Fetch, fix up, verify and cache weights; say what is there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from guardrail.errors import ModelError, ModelIntegrityError, ModelMissingError, ModelSourceError
from guardrail.inference.fixups import FIXUPS
from guardrail.inference.manifest import Catalogue, FileSpec, Manifest, known
from guardrail.inference.sources import DEFAULT_HUB, check, deliver, describe, from_mirror
from guardrail.settings import Settings

_DOWNLOADS = ".downloads"


class Progress(Protocol):
    """Told how a pull goes on."""

    def start(self, model: str, file: str, size: int) -> None: ...

    def advance(self, size: int) -> None: ...

    def done(self, model: str, file: str, source: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is in the cache for one model: "ok", "missing" or "wrong"."""

    name: str
    task: str
    state: str
    detail: str
    licence: str
    size: int


def pull(
    names: Iterable[str] | None,
    settings: Settings,
    progress: Progress | None = None,
    *,
    catalogue: Catalogue | None = None,
) -> None:
    """Make sure that models are in the cache, fetching what is missing.

    Safe when several processes do it at once: a lock a model, and every file appears whole or not at all. What an
    interrupted pull has downloaded is used by the next.

    Args:
        names: models; None means all.
        settings: where the cache and the mirror are.
        progress: told about every file.
        catalogue: every known manifest when None.

    Raises:
        ModelMissingError: a model that was exported on this machine is gone.
        ModelSourceError: no source could deliver a file; the message lists what each said.
        ModelIntegrityError: a delivery or a fix-up is not what the manifest names.
    """
    catalogue = catalogue or known(settings)
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    for name in list(catalogue) if names is None else names:
        manifest = catalogue[name]
        with FileLock(settings.models_dir / f".{name}.lock"):
            for spec in manifest.files:
                _ensure(manifest, spec, settings, manifest.home or catalogue.folder, progress)
    with contextlib.suppress(OSError):
        shutil.rmtree(settings.models_dir / _DOWNLOADS)


def cached(manifest: Manifest, spec: FileSpec, settings: Settings) -> Path:
    """Where a file of a model lies, or will lie."""
    if spec.exported is not None and manifest.home is not None:
        return manifest.home / spec.exported.path
    return settings.models_dir / manifest.name / spec.name


def verified(manifest: Manifest, spec: FileSpec, settings: Settings) -> Path:
    """Path of a cached file after its digest has been compared.

    Raises:
        ModelMissingError: it is not there.
        ModelIntegrityError: it is another file.
    """
    path = cached(manifest, spec, settings)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        made = spec.exported
        command = f"export {made.origin}" if made else f"pull {manifest.name}"
        raise ModelMissingError(
            f"model {manifest.name!r} is not here ({path} is missing)", advice=f"Run `guardrail models {command}`."
        ) from None
    except OSError as error:
        raise ModelMissingError(f"model {manifest.name!r} cannot be read: {type(error).__name__}") from error
    if found != spec.sha256:
        raise ModelIntegrityError(f"{path} has sha256 {found[:12]}…, the manifest names {spec.sha256[:12]}…")
    return path


def verify(settings: Settings, *, catalogue: Catalogue | None = None) -> list[ModelState]:
    """Compare every file of every model with its manifest."""
    states = []
    for manifest in (catalogue or known(settings)).values():
        state, detail = "ok", ""
        for spec in manifest.files:
            try:
                verified(manifest, spec, settings)
            except ModelMissingError as error:
                state, detail = "missing", error.message
            except ModelIntegrityError as error:
                state, detail = "wrong", error.message
                break
        size = sum(
            path.stat().st_size for spec in manifest.files if (path := cached(manifest, spec, settings)).exists()
        )
        states.append(ModelState(manifest.name, manifest.task, state, detail, manifest.licence, size))
    return states


def _ensure(manifest: Manifest, spec: FileSpec, settings: Settings, shipped: Path, progress: Progress | None) -> None:
    try:
        verified(manifest, spec, settings)
        return
    except ModelError:
        if spec.exported is not None:
            raise
    if progress:
        progress.start(manifest.name, spec.name, spec.size)
    data, source = _fetch(manifest, spec, settings, shipped, progress)
    if spec.fixup is not None:
        data = FIXUPS[spec.fixup](data)
    check(data, spec.sha256, f"{manifest.name}/{spec.name}")
    _write(cached(manifest, spec, settings), data)
    if progress:
        progress.done(manifest.name, spec.name, source)


def _fetch(
    manifest: Manifest, spec: FileSpec, settings: Settings, shipped: Path, progress: Progress | None
) -> tuple[bytes, str]:
    if settings.models_mirror is not None:
        found = from_mirror(Path(settings.models_mirror), manifest.name, spec)
        if found is not None:
            return found, "mirror"
    work = settings.models_dir / _DOWNLOADS
    work.mkdir(parents=True, exist_ok=True)
    said = []
    for source in spec.sources:
        if settings.offline and source.kind != "shipped":
            said.append(f"{describe(source)}: offline")
            continue
        advance = progress.advance if progress else _ignore
        hub = os.environ.get("HF_ENDPOINT", DEFAULT_HUB)
        try:
            with FileLock(work / f"{spec.source_sha256}.lock"):
                return deliver(source, spec, work=work, shipped=shipped, hub=hub, advance=advance), describe(source)
        except (ModelSourceError, ModelIntegrityError) as error:
            said.append(error.message)
    problem = "; ".join(said)
    if any("the manifest names" in item for item in said):
        raise ModelIntegrityError(f"{manifest.name}/{spec.name}: {problem}")
    raise ModelSourceError(f"{manifest.name}/{spec.name}: {problem}")


def _write(path: Path, data: bytes) -> None:
    """The file appears whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ModelSourceError(
            f"{path} cannot be written: {error.strerror}", advice="Free space or set GUARDRAIL_MODELS_DIR."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _ignore(size: int) -> None:
    """No progress is wanted."""
