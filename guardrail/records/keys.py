"""Where the key comes from that encrypts face templates and listed names: a file, the environment, or a hook.

A hook turns a wrapped data key into the key itself, as key-management services do: the wrapped key lies beside the
data, the service holds what opens it. A hook is a command, or an entry point of the group `guardrail.keys`.
"""

from __future__ import annotations

import base64
import binascii
import subprocess
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from guardrail.errors import RecordError
from guardrail.settings import Settings

KEY_BYTES = 32
ENTRY_POINT_GROUP = "guardrail.keys"
WRAPPED_FILE = "templates.key.wrapped"
_SECONDS = 30.0
_MAX_WRAPPED = 64 * 1024

Unwrap = Callable[[bytes], bytes]
"""What an entry point of `guardrail.keys` is: the wrapped key to the key of 32 bytes."""


def named_key(settings: Settings) -> bytes | None:
    """The key that the settings name, 32 bytes, or None when they name none and the file in the data folder serves.

    Raises:
        RecordError: what they name cannot be read, fails, or is no key. The message never holds any of it.
    """
    keys = settings.keys
    if keys.templates is not None:
        return parsed(keys.templates.get_secret_value().encode(), "the key in the settings")
    if keys.templates_file is not None:
        return parsed(_read(keys.templates_file), f"the key {keys.templates_file}")
    if keys.unwrap:
        wrapped = _read(keys.wrapped_file or settings.data_dir / "keys" / WRAPPED_FILE)
        return parsed(_ran(keys.unwrap, wrapped), f"what {keys.unwrap[0]} printed")
    if keys.unwrap_plugin is not None:
        wrapped = _read(keys.wrapped_file or settings.data_dir / "keys" / WRAPPED_FILE)
        return parsed(_called(keys.unwrap_plugin, wrapped), f"what {keys.unwrap_plugin} returned")
    return None


def parsed(data: bytes, what: str) -> bytes:
    """A key given as 32 bytes, or as hexadecimal or base64 text of them.

    Raises:
        RecordError: it is neither.
    """
    if len(data) == KEY_BYTES:
        return data
    text = data.strip()
    for decoder in (binascii.unhexlify, _base64):
        try:
            key = decoder(text)
        except (binascii.Error, ValueError):
            continue
        if len(key) == KEY_BYTES:
            return key
    raise RecordError(
        f"{what} is not a key of {KEY_BYTES} bytes",
        advice=f"Give {KEY_BYTES} random bytes, raw, in hexadecimal or in base64.",
    )


def _base64(text: bytes) -> bytes:
    return base64.b64decode(text, validate=True)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_WRAPPED)
    except OSError as error:
        raise RecordError(
            f"the key {path} cannot be read: {error.strerror}", advice="Check the setting `keys` and the permissions."
        ) from error


def _ran(command: tuple[str, ...], wrapped: bytes) -> bytes:
    try:
        done = subprocess.run(command, input=wrapped, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecordError(
            f"the command {command[0]} that unwraps the key did not run ({type(error).__name__})",
            advice="Run it by hand, with the wrapped key on its standard input.",
        ) from None
    if done.returncode != 0:
        raise RecordError(
            f"the command {command[0]} that unwraps the key ended with status {done.returncode}",
            advice="Run it by hand, with the wrapped key on its standard input.",
        )
    return done.stdout


def _called(name: str, wrapped: bytes) -> bytes:
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            unwrap: Unwrap = point.load()
            key = unwrap(wrapped)
        except Exception as error:
            # its text may hold what it was given
            raise RecordError(
                f"the key hook {name} failed ({type(error).__name__})", advice="See the log of the package it is from."
            ) from None
        if not isinstance(key, bytes):
            raise RecordError(f"the key hook {name} returned something else than bytes")
        return key
    raise RecordError(
        f"no key hook is called {name!r}", advice=f"Install the package that registers it under {ENTRY_POINT_GROUP}."
    )
