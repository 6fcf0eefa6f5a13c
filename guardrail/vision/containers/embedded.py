"""Files inside a picture's file: pictures after its end, thumbnails, archives. Found by their first bytes, bounded."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator

from guardrail.vision.containers.texts import Texts

MAX_PICTURES = 4
"""Pictures taken out of one block."""
MAX_MEMBERS = 32
MAX_MEMBER_BYTES = 1 << 20
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xc0-\xfe]|GIF8[79]a|RIFF....WEBP|....ftypavi[fs]", re.DOTALL)
_ZIP = b"PK\x03\x04"
MAX_ENTRIES = 4_096
"""Entries of an archive's directory, which `zipfile` reads whole before anything else."""
_ENTRY = b"PK\x01\x02"
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Other methods choose how much memory they take."""
_UNREADABLE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)
"""What `zipfile` raises for a broken, encrypted or unknown member; NotImplementedError is a RuntimeError."""


def pictures(block: bytes) -> Iterator[bytes]:
    """Every stretch of a block that begins like a picture, to the end of the block; at most `MAX_PICTURES`."""
    at = 0
    for _ in range(MAX_PICTURES):
        found = _PICTURE.search(block, at)
        if found is None:
            return
        yield block[found.start() :]
        at = found.end()


def archived(block: bytes, where: str, texts: Texts) -> list[bytes]:
    """Members of a ZIP archive in a block: their texts go to `texts`, those that begin like a picture are returned."""
    if _ZIP not in block:
        return []
    found: list[bytes] = []
    if block.count(_ENTRY) > MAX_ENTRIES:
        texts.note(f"picture.{where}:zip", f"an archive with more than {MAX_ENTRIES} entries")
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(block)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                texts.note(f"picture.{where}:zip", f"only {MAX_MEMBERS} of {len(members)} members were read")
            for member in members[:MAX_MEMBERS]:
                if member.compress_type not in _PACKED:
                    texts.note(f"picture.{where}:zip", "a member is packed in a way that is not read")
                    continue
                with archive.open(member) as opened:
                    data = opened.read(MAX_MEMBER_BYTES + 1)
                if len(data) > MAX_MEMBER_BYTES:
                    texts.note(f"picture.{where}:zip", f"a member has more than {MAX_MEMBER_BYTES} bytes")
                    data = data[:MAX_MEMBER_BYTES]
                if _PICTURE.match(data):
                    found.append(data)
                else:
                    texts.add_all(f"{where}:zip", data)
    except _UNREADABLE:
        texts.note(f"picture.{where}:zip", "an archive that cannot be read")
    return found[:MAX_PICTURES]
