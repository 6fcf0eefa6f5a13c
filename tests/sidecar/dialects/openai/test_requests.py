from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ProtocolError, ReleaseError
from guardrail.settings import Limits
from guardrail.sidecar.dialects.openai.requests import read_edit, read_generation, read_variation
from guardrail.sidecar.flow import Job
from guardrail.sidecar.multipart import Part, read_parts, write_parts
from guardrail.sidecar.wire import Call
from guardrail.signals import Role
from tests.sidecar.parts import GREEN, RED

_LIMITS = Limits(max_picture_bytes=10_000)
_URL = "data:image/png;base64," + base64.b64encode(GREEN).decode()


def _json(body: object, *, edit: bool = False, content_type: str = "application/json") -> Job:
    call = Call("/v1/images/x", [("content-type", content_type)], orjson.dumps(body))
    return (read_edit if edit else read_generation)(call, _LIMITS)


def _form(*parts: Part, variation: bool = False) -> Job:
    body, content_type = write_parts(parts)
    call = Call("/v1/images/x", [("content-type", content_type)], body)
    return (read_variation if variation else read_edit)(call, _LIMITS)


def _text(name: str, value: str) -> Part:
    return Part(name, value.encode())


_IMAGE = Part("image", GREEN, True)
_PROMPT = _text("prompt", "a lighthouse")


def test_a_generation_keeps_its_own_bytes() -> None:
    body = {"prompt": "a lighthouse", "negative_prompt": "fog", "n": 2, "size": "64x64", "user": "u", "seed": 1.50}
    job = _json(body)
    assert job.body == orjson.dumps(body)
    assert (job.path, job.content_type) == ("/v1/images/x", "application/json")
    prompt = job.request.prompts[0]
    assert (prompt.text, prompt.negative, prompt.where) == ("a lighthouse", "fog", "prompt")
    assert job.request.params == {"n": 2, "size": "64x64"}
    assert job.request.actor == "u"
    assert job.request.operation == "generate"
    assert _json({"prompt": "a", "user": "u", "safety_identifier": "s"}).request.actor == "s"
    assert _json({"prompt": "a"}).request.actor is None


def test_text_of_other_fields_is_judged() -> None:
    job = _json({"prompt": "a", "style": "ink", "more": {"prompt_2": ["words", {"deep": "er"}]}, "seed": 4})
    assert job.request.prompts[1].where == "other"
    assert set(job.request.prompts[1].text.split("\n")) == {"ink", "prompt_2", "words", "deep", "er"}


@given(st.dictionaries(st.text("abcdef_", min_size=1, max_size=6), st.text("xyz .,é", max_size=30), max_size=5))
def test_no_text_goes_by_unjudged(fields: dict[str, str]) -> None:
    job = _json({"prompt": "a", **fields})
    judged = "\n".join(prompt.text for prompt in job.request.prompts)
    assert all(text in judged for text in fields.values() if text.strip())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"prompt": None}, "missing_field"),
        ({"prompt": ""}, "missing_field"),
        ({"prompt": " \n"}, "missing_field"),
        ({"prompt": ["a"]}, "missing_field"),
        ({"prompt": 5}, "missing_field"),
        ({"prompt": _URL}, "unknown_image_field"),
        ({"prompt": f"a ![x]({_URL})"}, "unknown_image_field"),
        ({"negative_prompt": ["a"]}, "invalid_field"),
        ({"negative_prompt": _URL}, "unknown_image_field"),
        ({"Prompt_": "a", "PROMPT": "b"}, "duplicate_field"),
        ({"Stream": True}, "unknown_field"),
        ({"N": 2}, "unknown_field"),
        ({"stream": True}, "streaming_unsupported"),
        ({"stream": "true"}, "streaming_unsupported"),
        ({"stream": 1}, "streaming_unsupported"),
        ({"n": 0}, "invalid_field"),
        ({"n": 21}, "invalid_field"),
        ({"n": True}, "invalid_field"),
        ({"n": "2"}, "invalid_field"),
        ({"n": 1.5}, "invalid_field"),
        ({"n": [1]}, "invalid_field"),
        ({"model": {"name": "m"}}, "invalid_field"),
        ({"model": "m" * 513}, "invalid_field"),
        ({"output_format": "svg"}, "unsupported_output_format"),
        ({"output_format": "PNG "}, "unsupported_output_format"),
        ({"svg": {"model": "m"}}, "unsupported_output_format"),
        ({"image": "file-1"}, "unknown_image_field"),
        ({"images": [{"image_url": _URL}]}, "unknown_image_field"),
        ({"mask": {"file_id": "file-1"}}, "unknown_image_field"),
        ({"markup": {"data": "x"}}, "unknown_image_field"),
        ({"image_url": "https://example.org/a.png"}, "unknown_image_field"),
        ({"more": {"deep": [[{"x": _URL}]]}}, "unknown_image_field"),
        ({"more": base64.b64encode(GREEN).decode()}, "unknown_image_field"),
        ({"more": {base64.b64encode(GREEN).decode(): 1}}, "unknown_image_field"),
        ({"more": GREEN.hex()}, "unknown_image_field"),
        ({"webhook_url": "x"}, "unknown_image_field"),
        ({"more": "http://127.0.0.1/x"}, "unknown_image_field"),
        ({"more": ["x"] * 3_000}, "invalid_field"),
    ],
)
def test_what_a_generation_must_not_hold(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        _json({"prompt": "a lighthouse", **fields})
    assert refused.value.code == code
    assert refused.value.status == 400


def test_harmless_values_pass() -> None:
    job = _json(
        {"prompt": "a", "stream": False, "n": None, "output_format": "webp", "svg": None, "image_size": "64x64"}
    )
    assert b'"image_size"' in job.body


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-json"])
def test_a_generation_is_json(content_type: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        _json({"prompt": "a"}, content_type=content_type)
    assert refused.value.code == "unsupported_content_type"


def test_urls_are_not_asked_for() -> None:
    assert orjson.loads(_json({"prompt": "a", "response_format": "url"}).body)["response_format"] == "b64_json"
    call = Call(
        "/", [("content-type", "application/json")], b'{"prompt": "a", "response_format": "url", "seed": %d}' % 2**70
    )
    with pytest.raises(ProtocolError, match="64 bits"):
        read_generation(call, _LIMITS)


def test_a_form_edit_is_written_anew_from_what_is_judged() -> None:
    job = _form(
        _PROMPT,
        Part("image[]", GREEN, True),
        Part("image[]", RED, True),
        Part("mask", GREEN, True),
        Part("markup", GREEN, True),
        _text("n", "2"),
        _text("stream", "false"),
        _text("style", "ink"),
        _text("response_format", "url"),
    )
    assert [(item.role, item.where) for item in job.request.uploads] == [
        (Role.IMAGE, "image"),
        (Role.IMAGE, "image"),
        (Role.MASK, "mask"),
        (Role.MARKUP, "markup"),
    ]
    assert job.request.params["n"] == 2
    assert [prompt.text for prompt in job.request.prompts] == ["a lighthouse", "ink"]
    sent = read_parts(job.body, job.content_type.partition("boundary=")[2])
    assert [part.data for part in sent if part.is_file] == [GREEN, RED, GREEN, GREEN]
    assert {part.name: part.text() for part in sent if not part.is_file} == {
        "prompt": "a lighthouse",
        "n": "2",
        "stream": "false",
        "style": "ink",
        "response_format": "b64_json",
    }


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((_PROMPT,), "missing_field"),
        ((_IMAGE,), "missing_field"),
        ((_PROMPT, Part("mask", GREEN, True)), "missing_field"),
        ((_PROMPT, Part("image", GREEN, False)), "invalid_field"),
        ((_PROMPT, Part("prompt", b"b"), _IMAGE), "duplicate_field"),
        ((_PROMPT, Part("Prompt", b"b"), _IMAGE), "duplicate_field"),
        ((_text("PROMPT", "a"), _IMAGE), "unknown_field"),
        ((Part("prompt", b"a", True), _IMAGE), "unknown_image_field"),
        ((_PROMPT, _IMAGE, Part("Image", RED, True)), "unknown_image_field"),
        ((_PROMPT, _IMAGE, Part("reference", RED, True)), "unknown_image_field"),
        ((_PROMPT, _IMAGE, _text("reference", _URL)), "unknown_image_field"),
        ((_PROMPT, _IMAGE, _text("image_url", "https://example.org")), "unknown_image_field"),
        ((_PROMPT, _IMAGE, Part("style", b"\xff")), "invalid_multipart"),
        ((_PROMPT, _IMAGE, _text("stream", "true")), "streaming_unsupported"),
        ((_PROMPT, _IMAGE, _text("n", "many")), "invalid_field"),
        ((_PROMPT, *[_IMAGE] * 17), "too_many_pictures"),
        ((_PROMPT, _IMAGE, *[Part("mask", GREEN, True)] * 3), "too_many_pictures"),
        ((_PROMPT, Part("image", b"x" * 10_001, True)), "too_large"),
    ],
)
def test_what_a_form_edit_must_not_hold(parts: tuple[Part, ...], code: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        _form(*parts)
    assert refused.value.code == code


def test_a_json_edit_is_judged_like_a_form() -> None:
    body = {"prompt": "a", "images": [{"image_url": _URL}, {"image_url": _URL}], "mask": {"image_url": _URL}}
    job = _json(body, edit=True)
    assert [item.role for item in job.request.uploads] == [Role.IMAGE, Role.IMAGE, Role.MASK]
    assert all(item.data == GREEN for item in job.request.uploads)
    assert job.body == orjson.dumps(body)
    assert job.request.operation == "edit"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "missing_field"),
        ({"images": []}, "missing_field"),
        ({"images": _URL}, "missing_field"),
        ({"images": [_URL]}, "invalid_field"),
        ({"images": [{"image_url": _URL}] * 17}, "too_many_pictures"),
        ({"images": [{"file_id": "file-1"}]}, "file_id_unsupported"),
        ({"images": [{"image_url": _URL, "file_id": "file-1"}]}, "file_id_unsupported"),
        ({"images": [{"image_url": "https://example.org/a.png"}]}, "remote_url_unsupported"),
        ({"images": [{"image_url": _URL}], "mask": {"file_id": "file-1"}}, "file_id_unsupported"),
        ({"images": [{"image_url": _URL}], "mask": _URL}, "invalid_field"),
        ({"images": [{"image_url": _URL, "other": _URL}]}, "unknown_image_field"),
        ({"images": [{"image_url": _URL}], "image": _URL}, "unknown_image_field"),
        ({"images": [{"image_url": _URL}], "markup": {"image_url": _URL}}, "unknown_image_field"),
    ],
)
def test_what_a_json_edit_must_not_hold(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        _json({"prompt": "a", **fields}, edit=True)
    assert refused.value.code == code


def test_a_variation_needs_one_picture_and_no_prompt() -> None:
    job = _form(_IMAGE, variation=True)
    assert job.request.prompts == ()
    assert job.request.operation == "variation"
    assert _form(_IMAGE, _PROMPT, variation=True).request.prompts[0].text == "a lighthouse"
    with pytest.raises(ProtocolError) as refused:
        _form(_IMAGE, _IMAGE, variation=True)
    assert refused.value.code == "too_many_pictures"
    with pytest.raises(ProtocolError) as refused:
        read_variation(Call("/", [("content-type", "application/json")], b"{}"), _LIMITS)
    assert refused.value.code == "unsupported_content_type"


def test_other_uploads_take_the_places_of_a_form() -> None:
    job = _form(_PROMPT, _IMAGE, _text("size", "64x64"), Part("mask", RED, True))
    other = replace(job.request, uploads=tuple(replace(item, data=RED) for item in job.request.uploads))
    sent = job.with_uploads(other)
    parts = read_parts(sent.body, sent.content_type.partition("boundary=")[2])
    assert [(part.name, part.data == RED) for part in parts if part.is_file] == [("image", True), ("mask", True)]
    assert [part.text() for part in parts if not part.is_file] == ["a lighthouse", "64x64"]


def test_other_uploads_take_the_places_of_data_urls() -> None:
    body = {"prompt": "a", "images": [{"image_url": _URL}, {"image_url": _URL}], "mask": {"image_url": _URL}}
    job = _json(body, edit=True)
    sent = job.with_uploads(replace(job.request, uploads=tuple(replace(x, data=RED) for x in job.request.uploads)))
    url = "data:image/png;base64," + base64.b64encode(RED).decode()
    found = orjson.loads(sent.body)
    assert [item["image_url"] for item in (*found["images"], found["mask"])] == [url] * 3


def test_a_job_that_cannot_carry_other_uploads_says_so() -> None:
    job = Job(_json({"prompt": "a"}).request, "/v1/x", b"", "application/json")
    with pytest.raises(ReleaseError, match="cannot be transformed"):
        job.with_uploads(job.request)
