from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ConfigurationError, RecordError
from guardrail.records import PeopleStore, Vault, keys
from guardrail.records.keys import parsed
from guardrail.settings import Keys, Settings, load_settings
from tests.records.parts import templates

KEY = bytes(range(32))


def _with(settings: Settings, **values: object) -> Settings:
    return load_settings(data_dir=settings.data_dir, keys=values)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_read_raw_in_hexadecimal_and_in_base64(key: bytes) -> None:
    for written in (key, key.hex().encode(), base64.b64encode(key), b"  " + base64.b64encode(key) + b"\n"):
        assert parsed(written, "it") == key


@pytest.mark.parametrize("written", [b"", b"short", KEY + b"x", b"zz" * 32, base64.b64encode(KEY[:31])])
def test_what_is_no_key_is_refused_and_not_quoted(written: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        parsed(written, "it")
    assert caught.value.message == "it is not a key of 32 bytes"


def test_a_key_from_the_environment_and_from_a_file_open_the_same_records(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY)
    monkeypatch.setenv("GUARDRAIL_KEYS__TEMPLATES", base64.b64encode(KEY).decode())
    from_environment = load_settings(data_dir=settings.data_dir)
    assert "AAEC" not in repr(from_environment)
    store = PeopleStore(from_environment)
    store.enrol(templates(1), person_id="p")
    store.close()
    monkeypatch.delenv("GUARDRAIL_KEYS__TEMPLATES")
    again = PeopleStore(_with(settings, templates_file=str(file)))
    np.testing.assert_allclose(again.gallery().vectors, templates(1), atol=1e-6)
    again.close()
    assert not (settings.data_dir / "keys" / "templates.key").exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_command_unwraps_the_key(settings: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("what a key service would keep to itself")
    wrap = ("openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-pass", f"file:{secret}")
    folder = settings.data_dir / "keys"
    folder.mkdir(parents=True)
    done = subprocess.run(wrap, input=KEY, capture_output=True, check=True)
    (folder / keys.WRAPPED_FILE).write_bytes(done.stdout)
    vault = Vault(_with(settings, unwrap=[*wrap, "-d"]))
    plain = Vault(_with(settings, templates=KEY.hex()))
    assert plain.unseal(vault.seal(b"template", "p"), "p") == b"template"
    secret.write_text("another")
    with pytest.raises(RecordError, match="ended with status"):
        Vault(_with(settings, unwrap=[*wrap, "-d"]))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["/no/such/command"], "did not run"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with status 3"),
        ([sys.executable, "-c", "print('nothing of use')"], "is not a key of 32 bytes"),
    ],
)
def test_a_command_that_gives_no_key_is_an_error(settings: Settings, command: list[str], message: str) -> None:
    folder = settings.data_dir / "keys"
    folder.mkdir(parents=True)
    (folder / keys.WRAPPED_FILE).write_bytes(b"wrapped")
    with pytest.raises(RecordError, match=message):
        Vault(_with(settings, unwrap=command))


def test_a_wrapped_key_that_is_missing_is_an_error(settings: Settings) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        Vault(_with(settings, unwrap=[sys.executable, "-c", ""]))
    with pytest.raises(RecordError, match="cannot be read"):
        Vault(_with(settings, templates_file="/no/such/file"))


def reversing(wrapped: bytes) -> bytes:
    """A key hook for the tests."""
    if wrapped == b"explode":
        raise ValueError(wrapped)
    return wrapped[::-1]


def test_an_installed_hook_unwraps_the_key(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("reversing", f"{__name__}:reversing", keys.ENTRY_POINT_GROUP)
    monkeypatch.setattr(keys, "entry_points", lambda group, name: [point] if name == point.name else [])
    wrapped = tmp_path / "wrapped"
    wrapped.write_bytes(KEY[::-1])
    vault = Vault(_with(settings, unwrap_plugin="reversing", wrapped_file=str(wrapped)))
    assert Vault(_with(settings, templates=KEY.hex())).unseal(vault.seal(b"x", "p"), "p") == b"x"
    wrapped.write_bytes(b"explode")
    with pytest.raises(RecordError, match="failed") as caught:
        Vault(_with(settings, unwrap_plugin="reversing", wrapped_file=str(wrapped)))
    assert "explode" not in caught.value.diagnostics()
    with pytest.raises(RecordError, match="no key hook is called 'gone'"):
        Vault(_with(settings, unwrap_plugin="gone", wrapped_file=str(wrapped)))


def test_two_sources_of_a_key_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="name one source of the key"):
        load_settings(keys={"templates": KEY.hex(), "unwrap": ["true"]})
    assert Keys(unwrap=("true",)).unwrap == ("true",)
