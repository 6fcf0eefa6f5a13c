"""Keys of this installation: keyed digests instead of content, and encryption of face templates."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guardrail.errors import RecordError
from guardrail.records.keys import KEY_BYTES, named_key
from guardrail.settings import Settings

_NONCE_BYTES = 12


class Vault:
    """Two keys in `data_dir/keys`, made on first use, readable by their owner alone.

    The key for templates and names can come from elsewhere: see `guardrail.settings.Keys`.

    Args:
        settings: where the data folder is, and where keys come from.

    Raises:
        RecordError: the folder or a key cannot be read or made, a key is not 32 bytes, or a hook fails.
    """

    def __init__(self, settings: Settings) -> None:
        folder = settings.data_dir / "keys"
        private_folder(settings.data_dir)
        private_folder(folder)
        self._digest_key = _key(folder / "digest.key")
        named = named_key(settings)
        self._cipher = AESGCM(_key(folder / "templates.key") if named is None else named)

    def digest(self, data: bytes) -> str:
        """`blake2b:` and 64 hex digits: a keyed hash (RFC 7693) that only this installation can compute."""
        return "blake2b:" + hashlib.blake2b(data, key=self._digest_key, digest_size=32).hexdigest()

    def seal(self, data: bytes, owner: str) -> bytes:
        """Encrypt with AES-256-GCM (NIST SP 800-38D), bound to `owner`: 12 bytes of nonce, the text, 16 of tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, owner.encode())

    def unseal(self, sealed: bytes, owner: str) -> bytes:
        """Undo `seal`.

        Raises:
            RecordError: another key, another owner, or changed bytes.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
        except (InvalidTag, ValueError) as error:
            raise RecordError(
                f"the record of {owner} cannot be decrypted",
                advice="Restore the key file that belongs to this data folder, or erase the record and enrol again.",
            ) from error


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter; one that exists is left as it is.

    Raises:
        RecordError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RecordError(f"the folder {path} cannot be made: {error.strerror}") from error


def _key(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise RecordError(f"the key {path} cannot be read or made: {error.strerror}") from error
    if len(key) != KEY_BYTES:
        raise RecordError(
            f"{path} does not hold a key of {KEY_BYTES} bytes",
            advice="Restore it from a backup; with another key, digests no longer compare and templates are lost.",
        )
    return key


def _make_key(path: Path) -> None:
    # Made whole under another name and linked: of two processes that start together, one wins and both read its key.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    # Without this a power cut could keep templates and lose the key that opens them.
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
