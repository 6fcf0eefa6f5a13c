"""Pictures inside JSON: data URLs and base64, read strictly."""

from __future__ import annotations

import re
from typing import Any

import pybase64

from guardrail.errors import ProtocolError
from guardrail.settings import Limits
from guardrail.sidecar.wire import too_large

_HEAD = re.compile(r"data:image/[a-z0-9.+-]{1,32};base64,", re.IGNORECASE)


def decode_data_url(value: Any, where: str, limits: Limits) -> bytes:
    """Bytes of a picture given as a data URL.

    Args:
        value: the field as it came.
        where: documented name of the field, for the error.
        limits: bound on the size.

    Raises:
        ProtocolError: missing, remote, not base64, or too large.
    """
    if not isinstance(value, str) or not value:
        raise ProtocolError("image_url is missing", code="missing_field", param=where)
    head = _HEAD.match(value)
    if head is None:
        if value.lstrip()[:5].lower() == "data:":
            raise ProtocolError("only data:image/…;base64 URLs can be judged", code="invalid_data_url", param=where)
        raise ProtocolError(
            "a remote picture cannot be judged: it may change after the check; send it as a data URL",
            code="remote_url_unsupported",
            param=where,
        )
    if (len(value) - head.end()) // 4 * 3 > limits.max_picture_bytes + 3:
        raise too_large(limits.max_picture_bytes)
    try:
        data = decode_base64(value[head.end() :])
    except ValueError:
        raise ProtocolError("the data URL is not valid base64", code="invalid_data_url", param=where) from None
    if len(data) > limits.max_picture_bytes:
        raise too_large(limits.max_picture_bytes)
    return data


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding and nothing else.

    Raises:
        ValueError: any other character, wrong padding, or nothing at all.
    """
    data = pybase64.b64decode(text, validate=True)
    # Lenient readers ignore bits behind the end; strict ones refuse. Only the one canonical spelling passes.
    tail = len(data) % 3 or 3
    if not data or pybase64.b64encode(data[-tail:]) != text[-4:].encode("ascii"):
        raise ValueError("not canonical base64")
    return data
