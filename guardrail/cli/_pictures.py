"""Pictures named on the command line: opened like hostile ones, and named in every refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guardrail.errors import InputError, PictureError
from guardrail.settings import Limits
from guardrail.signals import DecodedPicture, Picture
from guardrail.vision.decode import decode


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[DecodedPicture]:
    """The decoded picture; a refusal of it, here or in the block, names the file.

    Raises:
        PictureError: it is refused.
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_picture_bytes + 1)
        yield decode(Picture(data), limits)
    except PictureError as error:
        raise PictureError(f"{path.name}: {error.message}", reason=error.reason, advice=error.advice) from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}", advice="Check its permissions.") from error
