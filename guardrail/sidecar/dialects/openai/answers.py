"""What the generator answers to the images API, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
import pybase64

from guardrail.errors import UpstreamError
from guardrail.settings import Limits
from guardrail.sidecar.carried import carries_picture, walk
from guardrail.sidecar.dialects.openai.pictures import decode_base64
from guardrail.sidecar.gate import Released


@dataclass(frozen=True, slots=True)
class ImagesAnswer:
    """An `ImagesResponse`.

    Attributes:
        pictures: decoded bytes of each item.
        texts: `revised_prompt` of each item, or None.
        envelope: the answer without `data`.
        items: each item without its picture.
    """

    pictures: tuple[bytes, ...]
    texts: tuple[str | None, ...]
    envelope: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...]

    def rebuilt(self, released: Sequence[Released | None], decisions: Sequence[str]) -> bytes:
        """The answer with released pictures only, encoded anew from the judged bytes.

        When some are withheld, the key `guardrail` says how many.
        """
        data = [
            {"b64_json": pybase64.b64encode_as_string(passed.data), **item}
            for item, passed in zip(self.items, released, strict=True)
            if passed is not None
        ]
        body = {**self.envelope, "data": data}
        withheld = len(self.items) - len(data)
        if withheld:
            body["guardrail"] = {"withheld": withheld, "decisions": list(decisions)}
        return orjson.dumps(body)


def read_answer(body: bytes, limits: Limits) -> ImagesAnswer:
    """Take an answer apart.

    Raises:
        UpstreamError: not JSON, no picture, a URL instead of a picture, a picture where none can be judged, or base64
            that is not canonical.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamError("the generator's answer is not JSON") from None
    data = found.pop("data", None) if isinstance(found, dict) else None
    if not isinstance(data, list) or not data:
        raise UpstreamError("the generator's answer holds no picture")
    if len(data) > limits.max_pictures:
        raise UpstreamError(f"the generator's answer holds more than {limits.max_pictures} pictures")
    _closed(found)
    pictures, texts, items = [], [], []
    for item in data:
        pictures.append(_picture(item, limits))
        rest = {name: value for name, value in item.items() if name != "b64_json"}
        text = rest.get("revised_prompt")
        if text is not None and not isinstance(text, str):
            raise UpstreamError("revised_prompt of the generator's answer is not text")
        _closed(rest)
        texts.append(text)
        items.append(rest)
    return ImagesAnswer(tuple(pictures), tuple(texts), found, tuple(items))


def _picture(item: Any, limits: Limits) -> bytes:
    if not isinstance(item, dict):
        raise UpstreamError("an item of the generator's answer is not an object")
    if item.get("url") is not None:
        raise UpstreamError(
            "the generator answered with a URL, which may change after the check; "
            "ask for response_format b64_json or set the generator to it"
        )
    text = item.get("b64_json")
    if not isinstance(text, str):
        raise UpstreamError("an item of the generator's answer holds no picture")
    most = limits.max_picture_bytes
    try:
        data = decode_base64(text) if len(text) // 4 * 3 <= most + 3 else b""
    except ValueError:
        raise UpstreamError("a picture of the generator's answer is not canonical base64") from None
    if not 0 < len(data) <= most:
        raise UpstreamError(f"a picture of the generator's answer has more than {most} bytes")
    return data


def _closed(rest: Mapping[str, Any]) -> None:
    try:
        bad = any(carries_picture(name, text) for name, text in walk(rest))
    except OverflowError:
        bad = True
    if bad:
        raise UpstreamError("the generator's answer carries something that cannot be judged")
