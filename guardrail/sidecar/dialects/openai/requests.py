"""What a caller of the images API asks for: JSON and multipart bodies -> `Job`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pybase64

from guardrail.errors import ProtocolError
from guardrail.settings import Limits
from guardrail.sidecar.carried import carries_picture, holds_picture, walk
from guardrail.sidecar.dialects.openai.pictures import decode_data_url
from guardrail.sidecar.flow import Job
from guardrail.sidecar.multipart import Part, read_parts, sniffed_type, write_parts
from guardrail.sidecar.strictjson import read_object
from guardrail.sidecar.wire import Call, too_large
from guardrail.signals import GenerationRequest, Picture, Prompt, Role

_TEXTS = frozenset({"prompt", "negative_prompt"})
_SCALARS = frozenset(
    {
        "background",
        "complexity",
        "frame_count",
        "frame_duration_ms",
        "input_fidelity",
        "model",
        "moderation",
        "n",
        "output_compression",
        "output_format",
        "partial_images",
        "quality",
        "response_format",
        "safety_identifier",
        "size",
        "stream",
        "user",
    }
)
_PICTURES = frozenset({"image", "image[]", "mask", "markup"})
_DOCUMENTED = _TEXTS | _SCALARS | _PICTURES | {"images", "svg"}
_FORMATS = frozenset({"png", "jpeg", "jpg", "webp", "gif", "avif"})
_MAX_SCALAR_CHARS = 512
_MAX_SOURCE_PICTURES = 16
_ROLES = {"image": Role.IMAGE, "image[]": Role.IMAGE, "mask": Role.MASK, "markup": Role.MARKUP}
_NUMBER = re.compile(r"[0-9]{1,9}")


def read_generation(call: Call, limits: Limits) -> Job:
    """A text-to-image request.

    Raises:
        ProtocolError: see docs/SIDECAR.md, "What is refused".
    """
    return _read_json(call, limits, "generate")


def read_edit(call: Call, limits: Limits) -> Job:
    """An edit, as multipart or as JSON with data URLs.

    Raises:
        ProtocolError: see docs/SIDECAR.md, "What is refused".
    """
    if call.content_type()[0] == "application/json":
        return _read_json(call, limits, "edit")
    return _read_form(call, limits, "edit")


def read_variation(call: Call, limits: Limits) -> Job:
    """A variation of one picture.

    Raises:
        ProtocolError: see docs/SIDECAR.md, "What is refused".
    """
    return _read_form(call, limits, "variation")


def _read_json(call: Call, limits: Limits, operation: str) -> Job:
    if call.content_type()[0] != "application/json":
        raise ProtocolError("send application/json", code="unsupported_content_type")
    found = read_object(call.body)
    uploads: list[Picture] = []
    others = {name: value for name, value in found.items() if name not in _TEXTS | _SCALARS}
    if operation == "edit":
        uploads, rest = _referenced(others.pop("images", None), others.pop("mask", None), limits)
        others["more"] = rest
    if any(others.get(name) is not None for name in _PICTURES | {"images"}):
        raise ProtocolError("a picture is sent where none can be judged", code="unknown_image_field")
    request = _request(operation, found, others, uploads, limits)
    body = call.body
    if found.get("response_format") == "url":
        body = _rewritten(found)
    return Job(request, call.path, body, "application/json", partial(_json_with, body))


def _rewritten(found: dict[str, Any]) -> bytes:
    """The body with pictures asked for in the answer itself: a URL could change after it was judged."""
    try:
        return orjson.dumps({**found, "response_format": "b64_json"})
    except TypeError:
        raise ProtocolError("a number has more than 64 bits", code="invalid_json") from None


def _json_with(body: bytes, uploads: Sequence[bytes]) -> tuple[bytes, str]:
    """An edit with other pictures as data URLs."""
    found = orjson.loads(body)
    places = [*found.get("images", ()), *([found["mask"]] if found.get("mask") else [])]
    for place, data in zip(places, uploads, strict=True):
        place["image_url"] = f"data:{sniffed_type(data)};base64,{pybase64.b64encode(data).decode('ascii')}"
    return orjson.dumps(found), "application/json"


def _form_with(sent: Sequence[Part], uploads: Sequence[bytes]) -> tuple[bytes, str]:
    """A form with other pictures in place of its own."""
    others = iter(uploads)
    return write_parts([replace(part, data=next(others)) if part.name in _PICTURES else part for part in sent])


def _referenced(images: Any, mask: Any, limits: Limits) -> tuple[list[Picture], list[Any]]:
    """Pictures of a JSON edit, and what else their objects hold."""
    if not isinstance(images, list) or not images:
        raise ProtocolError("images must be a list with at least one picture", code="missing_field", param="images")
    if len(images) > _MAX_SOURCE_PICTURES:
        raise ProtocolError(
            f"at most {_MAX_SOURCE_PICTURES} pictures can be edited", code="too_many_pictures", param="images"
        )
    uploads, rest = [], []
    listed = [("images", Role.IMAGE, item) for item in images] + ([("mask", Role.MASK, mask)] if mask else [])
    for where, role, item in listed:
        if not isinstance(item, dict):
            raise ProtocolError(f"{where} must hold objects with image_url", code="invalid_field", param=where)
        if item.get("file_id") is not None:
            raise ProtocolError(
                "file_id cannot be judged: the guard does not see the file; send it as a data URL",
                code="file_id_unsupported",
                param=where,
            )
        uploads.append(Picture(decode_data_url(item.get("image_url"), where, limits), role, where))
        rest.append({name: value for name, value in item.items() if name not in ("image_url", "file_id")})
    return uploads, rest


def _read_form(call: Call, limits: Limits, operation: str) -> Job:
    kind, parameters = call.content_type()
    if kind != "multipart/form-data":
        raise ProtocolError("send multipart/form-data", code="unsupported_content_type")
    parts = read_parts(call.body, parameters.get("boundary", ""))
    uploads, texts, sent = [], {}, []
    for part in parts:
        if part.name in _PICTURES:
            uploads.append(_upload(part, limits))
        elif part.is_file:
            raise ProtocolError("a file is sent in a field that cannot be judged", code="unknown_image_field")
        elif part.name in texts:
            raise ProtocolError("a text field is repeated", code="duplicate_field")
        else:
            texts[part.name] = part.text()
            if part.name == "response_format" and texts[part.name] == "url":
                part = Part("response_format", b"b64_json")
        sent.append(part)
    _count(uploads, operation)
    names = {part.name for part in parts}
    if len({name.casefold() for name in names}) != len(names):
        raise ProtocolError("names of fields differ only in case", code="duplicate_field")
    others = {name: value for name, value in texts.items() if name not in _TEXTS | _SCALARS}
    request = _request(operation, _typed(texts), others, uploads, limits)
    body, content_type = write_parts(sent)
    return Job(request, call.path, body, content_type, partial(_form_with, tuple(sent)))


def _upload(part: Part, limits: Limits) -> Picture:
    if not part.is_file:
        raise ProtocolError("pictures must be sent as files", code="invalid_field", param=part.name)
    if len(part.data) > limits.max_picture_bytes:
        raise too_large(limits.max_picture_bytes)
    return Picture(part.data, _ROLES[part.name], part.name.removesuffix("[]"))


def _count(uploads: list[Picture], operation: str) -> None:
    images = sum(item.role is Role.IMAGE for item in uploads)
    most = 1 if operation == "variation" else _MAX_SOURCE_PICTURES
    if not images:
        raise ProtocolError("image is missing", code="missing_field", param="image")
    if images > most or len(uploads) - images > 2:
        raise ProtocolError(f"at most {most} pictures", code="too_many_pictures", param="image")


def _typed(texts: Mapping[str, str]) -> dict[str, Any]:
    """Form fields with the types their JSON twins have."""
    found: dict[str, Any] = dict(texts)
    for name in ("n", "partial_images", "frame_count"):
        if name in found and _NUMBER.fullmatch(found[name]):
            found[name] = int(found[name])
    if "stream" in found:
        found["stream"] = {"false": False, "0": False, "": None}.get(found["stream"].lower(), True)
    return found


def _request(
    operation: str, found: Mapping[str, Any], others: Mapping[str, Any], uploads: list[Picture], limits: Limits
) -> GenerationRequest:
    """Hold the documented fields to their rules, and take the text out of all others."""
    for name in found:
        if name not in _DOCUMENTED and name.casefold() in _DOCUMENTED:
            raise ProtocolError("the name of a field is in the wrong case", code="unknown_field")
    _check_scalars(found, limits)
    prompts = []
    prompt, negative = found.get("prompt"), found.get("negative_prompt") or ""
    if operation != "variation" or prompt is not None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise ProtocolError("prompt must be text that is not empty", code="missing_field", param="prompt")
        if not isinstance(negative, str):
            raise ProtocolError("negative_prompt must be text", code="invalid_field")
        if holds_picture(prompt) or holds_picture(negative):
            raise ProtocolError("the prompt holds an encoded picture", code="unknown_image_field", param="prompt")
        prompts.append(Prompt(prompt, negative))
    text = _other_text(others)
    if text:
        prompts.append(Prompt(text, where="other"))
    params = {
        name: value
        for name in sorted(_SCALARS - {"user", "safety_identifier"})
        if isinstance(value := found.get(name), str | int | float | bool)
    }
    actor = found.get("safety_identifier") or found.get("user")
    return GenerationRequest(tuple(prompts), tuple(uploads), operation, params, actor=str(actor) if actor else None)


def _check_scalars(found: Mapping[str, Any], limits: Limits) -> None:
    for name in _SCALARS & found.keys():
        value = found[name]
        if value is not None and not isinstance(value, str | int | float):
            raise ProtocolError(f"{name} must be a single value", code="invalid_field", param=name)
        if isinstance(value, str) and len(value) > _MAX_SCALAR_CHARS:
            raise ProtocolError(f"{name} is too long", code="invalid_field", param=name)
    if found.get("stream") not in (None, False):
        raise ProtocolError(
            "streamed answers are not supported: every picture is judged whole; send stream: false",
            code="streaming_unsupported",
            param="stream",
        )
    count = found.get("n")
    if count is not None and (
        not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= limits.max_pictures
    ):
        raise ProtocolError(f"n must be 1 to {limits.max_pictures}", code="invalid_field", param="n")
    kind = found.get("output_format")
    if found.get("svg") is not None or (kind is not None and kind not in _FORMATS):
        raise ProtocolError(
            "this output format cannot be judged; use png, jpeg, webp, gif or avif",
            code="unsupported_output_format",
            param="output_format",
        )


def _other_text(others: Mapping[str, Any]) -> str:
    """All text of undocumented fields, joined.

    Raises:
        ProtocolError: a field carries a picture, or holds too many values.
    """
    found: list[str] = []
    try:
        for name, text in _walked(others):
            if carries_picture(name, text):
                raise ProtocolError(
                    "a field that the guard does not know carries a picture", code="unknown_image_field"
                )
            found.append(text)
    except OverflowError:
        raise ProtocolError("too many values in fields that the guard does not know", code="invalid_field") from None
    return "\n".join(text for text in found if text.strip())


def _walked(others: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in others.items():
        yield from walk(value, name)
