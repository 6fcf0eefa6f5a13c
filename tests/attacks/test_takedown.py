"""A listed picture never leaves, whatever is done to it within the limits that docs/TAKEDOWN.md states."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from guardrail.detector import DetectorContext
from guardrail.guard import Guard
from guardrail.records import Bank, FingerprintStore, LocalRegistry
from guardrail.settings import load_settings
from guardrail.signals import GenerationRequest, Picture
from guardrail.testing import drawn_picture
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import FingerprintDetector, listing
from tests.vision.tiny import TinyModels

WIDE, HIGH = 480, 360


def photo() -> Image.Image:
    """A drawing with something everywhere, as photographs have."""
    drawn = Image.open(io.BytesIO(drawn_picture("b", size=(WIDE, HIGH)))).convert("RGB")
    noise = np.random.default_rng(1).integers(0, 256, (HIGH // 8, WIDE // 8, 3), dtype=np.uint8)
    return Image.blend(drawn, Image.fromarray(noise).resize((WIDE, HIGH), Image.Resampling.BICUBIC), 0.35)


def encoded(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, format, **options)
    return data.getvalue()


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """The floor alone, with one picture listed."""
    own = load_settings(data_dir=tmp_path_factory.mktemp("data"))
    store = FingerprintStore(own)
    hashes = listing(decode(Picture(encoded(photo())), own.limits))
    store.add(hashes[0], variants=hashes[1:])
    store.close()
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    Path(policy).write_text("schema: guardrail/v1\nname: bare\nversion: '1'\n", encoding="utf-8")
    detector = FingerprintDetector(DetectorContext(own, TinyModels(), LocalRegistry(own)))
    with Guard.from_policy(policy, settings=own, detectors=(detector,), models=TinyModels()) as found:
        yield found


def stopped(guard: Guard, data: bytes) -> bool:
    (verdict,) = guard.check_outputs_sync(GenerationRequest(), [data])
    upload = guard.check_inputs_sync(GenerationRequest(uploads=(Picture(data),)))
    return verdict.rule == upload.rule == "listed-picture"


@st.composite
def shaped(draw: st.DrawFn) -> Image.Image:
    """The picture cut, turned or framed, and then mirrored or turned by quarters."""
    picture = photo()
    kind = draw(st.sampled_from(["whole", "cut", "turned", "framed", "captioned", "narrow"]))
    if kind == "cut":
        share = draw(st.floats(0, 0.1))
        left, top = draw(st.floats(0, share)) * WIDE, draw(st.floats(0, share)) * HIGH
        picture = picture.crop(
            (round(left), round(top), round(left + (1 - share) * WIDE), round(top + (1 - share) * HIGH))
        )
    elif kind == "turned":
        fill = draw(st.sampled_from(["black", "white"]))
        picture = picture.rotate(draw(st.floats(-5, 5)), Image.Resampling.BICUBIC, fillcolor=fill)
    elif kind in ("framed", "captioned"):
        edge = draw(st.integers(5, 60))
        side = edge if kind == "framed" else 0
        canvas = Image.new(
            "RGB", (WIDE + 2 * side, HIGH + edge + side), draw(st.sampled_from(["white", "black", "red"]))
        )
        canvas.paste(picture, (side, edge))
        picture = canvas
    elif kind == "narrow":
        picture = picture.resize((round(WIDE * draw(st.floats(0.7, 1))), HIGH))
    turn = draw(st.sampled_from([None, *Image.Transpose]))
    return picture if turn is None else picture.transpose(turn)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shaped(), st.floats(0.5, 1.5), st.sampled_from([("PNG", 0), ("JPEG", 50), ("WEBP", 50)]), st.booleans())
def test_it_is_stopped_in_every_shape(
    guard: Guard, picture: Image.Image, scale: float, form: tuple[str, int], grey: bool
) -> None:
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    if grey:
        picture = picture.convert("L")
    options = {"quality": form[1]} if form[1] else {}
    assert stopped(guard, encoded(picture, form[0], **options))


def test_it_is_stopped_as_one_frame_beneath_transparency_and_by_orientation(guard: Guard) -> None:
    other = Image.open(io.BytesIO(drawn_picture("other", size=(WIDE, HIGH)))).convert("RGB")
    assert stopped(guard, encoded(other, save_all=True, append_images=[other.rotate(90), photo()]))
    hidden = photo().convert("RGBA")
    hidden.putalpha(0)
    assert stopped(guard, encoded(hidden))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert stopped(guard, encoded(photo(), "JPEG", exif=exif))


@pytest.mark.parametrize("seed", range(12))
def test_other_pictures_leave(guard: Guard, seed: int) -> None:
    data = drawn_picture(f"other {seed}", size=(WIDE, HIGH))
    (verdict,) = guard.check_outputs_sync(GenerationRequest(), [data])
    assert verdict.action.released


@pytest.mark.parametrize("colour", ["black", "white", (0, 0, 0, 0)])
@pytest.mark.parametrize("size", [(1, 1), (300, 200)])
def test_pictures_without_content_leave_and_are_told(
    guard: Guard, colour: str | tuple[int, ...], size: tuple[int, int]
) -> None:
    flat = Image.new("RGB" if isinstance(colour, str) else "RGBA", size, colour)
    (verdict,) = guard.check_outputs_sync(GenerationRequest(), [encoded(flat)])
    assert verdict.action.released
    assert "a flat frame has no telling fingerprint" in {item.why for item in verdict.coverage.skipped}


@pytest.mark.parametrize("required", [True, False])
def test_a_bank_that_does_not_answer_closes_unless_it_is_optional(tmp_path: Path, required: bool) -> None:
    own = load_settings(data_dir=tmp_path / "data")
    store = FingerprintStore(own)
    store.set_bank(Bank("partner", url="http://127.0.0.1:1", timeout_s=0.2, required=required))
    store.close()
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema: guardrail/v1\nname: bare\nversion: '1'\n", encoding="utf-8")
    detector = FingerprintDetector(DetectorContext(own, TinyModels(), LocalRegistry(own)))
    with Guard.from_policy(policy, settings=own, detectors=(detector,), models=TinyModels()) as guard:
        (verdict,) = guard.check_outputs_sync(GenerationRequest(), [encoded(photo())])
    assert verdict.action.released != required
    assert (verdict.rule == "guard-error") == required
    told = {item.what: item.why for item in verdict.coverage.skipped}
    if required:
        assert told["vision.fingerprint"] == "failed: detection"
    else:
        assert told["vision.fingerprint:partner"] == "the bank does not answer"
