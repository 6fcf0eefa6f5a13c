import hashlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import RecordError
from guardrail.records import Vault
from guardrail.records.vault import _make_key
from guardrail.settings import Settings, load_settings
from tests.records.parts import together


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(load_settings(data_dir=tmp_path_factory.mktemp("vault")))


def test_a_digest_is_blake2b_under_the_key_of_the_installation(settings: Settings) -> None:
    vault = Vault(settings)
    key = (settings.data_dir / "keys" / "digest.key").read_bytes()
    assert vault.digest(b"abc") == "blake2b:" + hashlib.blake2b(b"abc", key=key, digest_size=32).hexdigest()
    assert Vault(settings).digest(b"abc") == vault.digest(b"abc")


def test_two_installations_give_two_digests(settings: Settings, tmp_path: Path) -> None:
    other = Vault(load_settings(data_dir=tmp_path / "other"))
    assert Vault(settings).digest(b"abc") != other.digest(b"abc")


@given(st.binary(max_size=300), st.text("abc-0123", min_size=1, max_size=20))
def test_what_is_sealed_opens_for_its_owner_alone(vault: Vault, data: bytes, owner: str) -> None:
    sealed = vault.seal(data, owner)
    assert vault.unseal(sealed, owner) == data
    with pytest.raises(RecordError, match="cannot be decrypted"):
        vault.unseal(sealed, owner + "x")


@given(data=st.data())
def test_a_changed_or_shortened_record_does_not_open(vault: Vault, data: st.DataObject) -> None:
    sealed = bytearray(vault.seal(b"template", "p"))
    if data.draw(st.booleans()):
        sealed = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    else:
        sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RecordError, match="cannot be decrypted"):
        vault.unseal(bytes(sealed), "p")


def test_folders_and_keys_are_for_their_owner_alone(settings: Settings) -> None:
    Vault(settings)
    keys = settings.data_dir / "keys"
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (settings.data_dir, keys)] == [0o700, 0o700]
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in keys.iterdir()} == {
        "digest.key": 0o600,
        "templates.key": 0o600,
    }


@pytest.mark.parametrize("name", ["digest.key", "templates.key"])
@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_key_of_the_wrong_length_is_an_error_and_is_not_replaced(
    settings: Settings, name: str, content: bytes
) -> None:
    Vault(settings)
    key = settings.data_dir / "keys" / name
    key.write_bytes(content)
    with pytest.raises(RecordError, match="does not hold a key of 32 bytes"):
        Vault(settings)
    assert key.read_bytes() == content


def test_a_key_that_cannot_be_read_is_an_error(settings: Settings) -> None:
    (settings.data_dir / "keys" / "digest.key").mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot be read or made"):
        Vault(settings)


def test_a_data_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be made"):
        Vault(load_settings(data_dir=tmp_path / "file" / "data"))


def test_processes_that_start_at_once_share_their_keys(settings: Settings) -> None:
    imports = "from guardrail.records import Vault"
    digests = together("print(Vault(settings).digest(b'x'))", settings, 3, imports=imports)
    assert set(digests) == {Vault(settings).digest(b"x")}
    assert sorted(file.name for file in (settings.data_dir / "keys").iterdir()) == ["digest.key", "templates.key"]


def test_who_comes_second_takes_the_key_that_is_there(tmp_path: Path) -> None:
    _make_key(tmp_path / "a.key")
    first = (tmp_path / "a.key").read_bytes()
    _make_key(tmp_path / "a.key")
    assert (tmp_path / "a.key").read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["a.key"]
