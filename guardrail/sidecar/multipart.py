"""multipart/form-data, read strictly and written anew.

The generator never gets the caller's own multipart bytes: readers disagree about them in too many ways. It gets the
parts that were judged, encoded once more in the plainest form.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from guardrail.errors import ProtocolError

MAX_PARTS = 128
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=?-]{1,70}")
_PART_HEADERS = frozenset({"content-disposition", "content-type", "content-length", "content-transfer-encoding"})
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "image/avif": "avif"}


@dataclass(frozen=True, slots=True)
class Part:
    """One field: text when `is_file` is false, else the bytes of an upload."""

    name: str
    data: bytes
    is_file: bool = False

    def text(self) -> str:
        """The field as text.

        Raises:
            ProtocolError: not UTF-8.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("a text field is not UTF-8", code="invalid_multipart") from None


def read_parts(body: bytes, boundary: str) -> list[Part]:
    """The parts of a body, in order.

    Raises:
        ProtocolError: malformed, unfinished, more than MAX_PARTS, or a part that readers could take differently.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise ProtocolError("the multipart boundary is missing or malformed", code="invalid_multipart")
    reader = _Reader()
    parser = MultipartParser(
        boundary.encode("ascii"),
        {
            "on_part_begin": reader.part_begin,
            "on_header_field": reader.header_field,
            "on_header_value": reader.header_value,
            "on_header_end": reader.header_end,
            "on_part_data": reader.part_data,
            "on_part_end": reader.part_end,
            "on_end": reader.end,
        },
        max_header_count=4,
        max_header_size=1024,
    )
    try:
        parser.write(body)
    except FormParserError:
        raise ProtocolError("the multipart body is malformed", code="invalid_multipart") from None
    if not reader.finished:
        raise ProtocolError("the multipart body is not finished", code="invalid_multipart")
    return reader.parts


def write_parts(parts: Sequence[Part]) -> tuple[bytes, str]:
    """Body and content type for parts; file names are numbered, types are sniffed from the bytes."""
    boundary = secrets.token_hex(16)
    chunks: list[bytes] = []
    for number, part in enumerate(parts):
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"'
        if part.is_file:
            kind = sniffed_type(part.data)
            head += f'; filename="upload-{number}.{_EXTENSIONS.get(kind, "bin")}"\r\nContent-Type: {kind}'
        chunks += [head.encode("ascii"), b"\r\n\r\n", part.data, b"\r\n"]
    chunks.append(f"--{boundary}--\r\n".encode("ascii"))
    return b"".join(chunks), f"multipart/form-data; boundary={boundary}"


def sniffed_type(data: bytes) -> str:
    """Media type by the first bytes."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"GIF8"):
        return "image/gif"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return "application/octet-stream"


@dataclass(slots=True)
class _Reader:
    """Collects what the parser reports."""

    parts: list[Part] = field(default_factory=list)
    finished: bool = False
    _headers: dict[str, str] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _data: list[bytes] = field(default_factory=list)

    def part_begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise ProtocolError(f"more than {MAX_PARTS} multipart parts", status=413, code="too_many_parts")
        self._headers, self._data, self._name, self._value = {}, [], b"", b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        name = self._name.decode("latin-1").lower()
        if name in self._headers or name not in _PART_HEADERS:
            raise ProtocolError("a multipart part has an unexpected header", code="invalid_multipart")
        value = self._value.decode("latin-1")
        if name == "content-transfer-encoding" and value.strip().lower() not in ("binary", "8bit", "7bit"):
            raise ProtocolError("a multipart part is transfer-encoded", code="invalid_multipart")
        self._headers[name] = value
        self._name, self._value = b"", b""

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def part_end(self) -> None:
        disposition = self._headers.get("content-disposition", "")
        kind, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode("latin-1")
        named = disposition.lower().count("name=") - disposition.lower().count("filename=")
        if kind != b"form-data" or named != 1 or not _NAME.fullmatch(name) or "*=" in disposition:
            raise ProtocolError("a multipart part has no plain form-data name", code="invalid_multipart")
        charset = parse_options_header(self._headers.get("content-type"))[1].get(b"charset", b"utf-8")
        if name == "_charset_" or charset.lower() not in (b"utf-8", b"utf8"):
            raise ProtocolError("text must be sent as UTF-8", code="unsupported_charset")
        self.parts.append(Part(name, b"".join(self._data), is_file=b"filename" in options))

    def end(self) -> None:
        self.finished = True
