"""Files that can be looked at only in part: bounded work, the part named in coverage, and a policy that stops them."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from guardrail.guard import Guard
from guardrail.settings import Limits, load_settings
from guardrail.signals import GenerationRequest, Picture, Prompt
from guardrail.vision.decode import decode
from guardrail.vision.hidden.bits import low_bit_texts, written_share
from guardrail.vision.hidden.planes import planes
from tests.vision.containers import made
from tests.vision.files import chunk, drawing, encoded, segment, with_chunk, with_segment

SECONDS = 3.0
MEMORY = 64 * 2**20
PNG, JPEG = encoded(drawing(), "PNG"), encoded(drawing(), "JPEG")
XMP = b"http://ns.adobe.com/xap/1.0/\x00"
POLICY = """
schema: guardrail/v1
name: whole-files
version: "1"
on_error: block
rules:
  - id: uninspected
    stage: [input, output]
    when: coverage.skipped.exists(part, part.startsWith('picture.'))
    then: hold
    message: a part of the file was not inspected
"""


def _xmp_of_png(packet: bytes) -> bytes:
    return with_chunk(PNG, b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + zlib.compress(packet))


def _entities() -> bytes:
    nested = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 40))
    return f'<!DOCTYPE x [<!ENTITY a0 "ha">{nested}]><x>&a39;</x>'.encode()


def _sharing() -> bytes:
    """4,000 EXIF entries that all point at the same two megabytes."""
    entries = b"".join(struct.pack("<HHII", 0x927C, 7, 1 << 21, 48_014) for _ in range(4_000))
    return b"II*\x00" + struct.pack("<IH", 8, 4_000) + entries + bytes(4) + b"a quiet street " * (1 << 17)


def _circle() -> bytes:
    """300 directories, each with the next one inside and behind it, and the last one leading to the first."""
    block, size = b"II*\x00\x08\x00\x00\x00", 2 + 12 + 4
    for number in range(300):
        following = 8 + size * ((number + 1) % 300)
        block += struct.pack("<HHHII", 1, 0x8769, 4, 1, following) + struct.pack("<I", following)
    return block


def _deep_boxes() -> bytes:
    block = made.box(b"json", b"{}")
    for _ in range(400):
        block = made.box(b"jumb", block)
    return block


PARTS: dict[str, tuple[bytes, str]] = {
    "entities in XMP": (_xmp_of_png(_entities()), "picture.xmp"),
    "entities in XMP of a JPEG": (with_segment(JPEG, 0xE1, XMP + _entities()), "picture.xmp"),
    "entries that share megabytes": (with_chunk(PNG, b"eXIf", _sharing()), "picture.exif"),
    "directories in a circle": (with_segment(JPEG, 0xE1, b"Exif\x00\x00" + _circle()), "picture.exif"),
    "boxes in boxes": (with_chunk(PNG, b"caBX", _deep_boxes()), "picture.c2pa"),
    "a million boxes": (with_chunk(PNG, b"caBX", made.box(b"json", b"{}") * 500_000), "picture.c2pa"),
    "a million items of CBOR": (
        with_chunk(PNG, b"caBX", made.described("c2pa", made.box(b"cbor", b"\x81" * 1_000_000))),
        "picture.c2pa",
    ),
    "a compressed box": (with_chunk(PNG, b"caBX", made.described("c2pa", made.box(b"brob", b"jumb"))), "picture.c2pa"),
    "15,000 texts": (
        PNG[:33] + b"".join(chunk(b"tEXt", b"Comment\0a harmless remark %d" % at) for at in range(15_000)) + PNG[33:],
        "picture.texts",
    ),
    "texts beyond the limit": (PNG[:33] + chunk(b"tEXt", b"k\0" + b"word " * 20_000) * 5 + PNG[33:], "picture.texts"),
    "a chunk that does not inflate": (with_chunk(PNG, b"zTXt", b"k\0\0nothing of the kind"), "picture.png:zTXt"),
    "50,000 IPTC datasets": (
        PNG[:33] + made.raw_profile("iptc", made.dataset(2, 25, b"word") * 50_000) + PNG[33:],
        "picture.iptc",
    ),
    "30,000 Photoshop resources": (
        with_chunk(PNG, b"eXIf", made.entries((0x8649, 1, made.resource(0x03E9, b"") * 30_000))),
        "picture.photoshop",
    ),
    "1,000 pictures inside": (PNG + encoded(drawing(2, size=(4, 4)), "PNG") * 1_000, "picture.trailing:pictures"),
    "words behind the end": (PNG + b"some words", "picture.trailing"),
    "a profile of 2 MB": (
        encoded(drawing(), "PNG", icc_profile=made.profile("a profile") + bytes(2 << 20)),
        "picture.colour",
    ),
}


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """A policy about coverage alone, so that nothing but the file decides."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
    settings = load_settings(data_dir=folder / "data", record=False)
    with Guard.from_policy(folder / "policy.yaml", settings=settings, detectors=()) as made_guard:
        yield made_guard


@pytest.mark.parametrize("name", PARTS)
def test_the_part_is_named_within_bounds(name: str) -> None:
    data, part = PARTS[name]
    tracemalloc.start()
    begun = time.process_time()
    found = decode(Picture(data), Limits())
    spent = time.process_time() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert part in {note.what for note in found.notes}
    assert sum(len(item.text) for item in found.texts) < 400_000
    assert spent < SECONDS
    assert peak < MEMORY + 4 * len(data)


@pytest.mark.parametrize("name", PARTS)
def test_a_policy_stops_what_was_not_inspected(guard: Guard, name: str) -> None:
    data, part = PARTS[name]
    request = GenerationRequest((Prompt("a barn"),), (Picture(data),), "edit")
    for verdict in (guard.check_inputs_sync(request), *guard.check_outputs_sync(GenerationRequest(), [data])):
        assert verdict.action.value == "hold"
        assert verdict.rule == "uninspected"
        assert part in {item.what for item in verdict.coverage.skipped}


@pytest.mark.parametrize("data", [PNG, JPEG], ids=["png", "jpeg"])
def test_a_whole_file_passes(guard: Guard, data: bytes) -> None:
    assert guard.check_outputs_sync(GenerationRequest(), [data])[0].released


def test_what_cannot_be_decoded_is_stopped_and_told(guard: Guard) -> None:
    for data, reason in ((PNG[:-12], "truncated"), (encoded(drawing(size=(640, 2)), "PNG"), "ratio")):
        verdict = guard.check_outputs_sync(GenerationRequest(), [data])[0]
        assert verdict.action.value == "block"
        assert reason in {item.why for item in verdict.coverage.skipped}


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (1024, 1024)])
def test_noise_and_single_pixels_cost_little(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    for mode in ("RGB", "RGBA", "L", "P"):
        picture = (
            Image.fromarray(noise).convert("RGB").quantize(16) if mode == "P" else Image.fromarray(noise).convert(mode)
        )
        begun = time.process_time()
        found = decode(Picture(encoded(picture, "PNG")), Limits())
        list(planes(found))
        assert low_bit_texts(found) == []
        written_share(found.frames[0].rgb)
        assert time.process_time() - begun < SECONDS


def test_segments_that_never_end_are_refused_or_bounded() -> None:
    packets = [segment(0xEB, b"JP\x00\x01" + struct.pack(">I", number) + bytes(8)) for number in range(9_000)]
    begun = time.process_time()
    decode(Picture(JPEG[:2] + b"".join(packets) + JPEG[2:]), Limits())
    assert time.process_time() - begun < SECONDS
