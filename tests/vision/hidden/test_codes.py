from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
import zxingcpp
from zxingcpp import BarcodeFormat

from guardrail.vision.hidden.codes import MAX_CHARS, MAX_CODES, codes
from tests.attacks.hidden import covers, families
from tests.attacks.hidden.payloads import payload

SAID = "SEE THE GARDEN PLAN 12"
Picture = np.ndarray


def _drawn(text: str | bytes, kind: BarcodeFormat, scale: int) -> Picture:
    """0 and 1 (light), with a quiet ring."""
    symbol = zxingcpp.create_barcode(text, kind)
    return np.pad(
        np.asarray(symbol.to_image(scale=scale, add_quiet_zones=False)) > 127, 4 * scale, constant_values=True
    )


def _photo(seed: int, side: int = 640) -> Picture:
    drawn = covers.draw("photo", (side, side), np.random.default_rng(seed), "train")
    return np.array(drawn.convert("RGB"))


def _laid(light: Picture, at: tuple[int, int], rgb: Picture, strength: float) -> Picture:
    """A code blended over a picture."""
    (tall, wide), (left, top) = light.shape, at
    part = rgb[top : top + tall, left : left + wide].astype(np.float32)
    rgb[top : top + tall, left : left + wide] = part * (1 - strength) + strength * 255 * light[..., None]
    return rgb


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (BarcodeFormat.QRCode, SAID),
        (BarcodeFormat.MicroQRCode, "SEE 12"),
        (BarcodeFormat.DataMatrix, SAID),
        (BarcodeFormat.Aztec, SAID),
        (BarcodeFormat.PDF417, SAID),
        (BarcodeFormat.Code39, SAID),
        (BarcodeFormat.EAN13, "5901234123457"),
    ],
)
def test_symbologies_are_read(kind: BarcodeFormat, text: str) -> None:
    light = _drawn(text, kind, 2 if kind is BarcodeFormat.Code39 else 3)
    found = codes(_laid(light, (40, 60), _photo(1, 1024), 1.0))
    assert [item.text for item in found] == [text]
    assert found[0].box is not None
    assert abs(found[0].box[0] - 40) < 60


@pytest.mark.parametrize("kind", [BarcodeFormat.QRCode, BarcodeFormat.DataMatrix, BarcodeFormat.Aztec])
@pytest.mark.parametrize("how", ["inverted", "small", "turned", "upside"])
def test_codes_are_read_however_they_are_laid(kind: BarcodeFormat, how: str) -> None:
    light = _drawn(SAID, kind, 2 if how == "small" else 4)
    rgb = _laid(~light if how == "inverted" else light, (200, 120), _photo(2, 1024), 1.0)
    if how == "turned":
        rgb = cv2.warpAffine(rgb, cv2.getRotationMatrix2D((250, 170), 17, 1), (1024, 1024))
    elif how == "upside":
        rgb = np.ascontiguousarray(rgb[::-1, ::-1])
    assert [item.text for item in codes(rgb)] == [SAID]


@pytest.mark.parametrize(("seed", "scale", "side"), [(3, 4, 480), (4, 5, 480), (6, 4, 900), (7, 6, 900)])
def test_a_code_thinly_over_a_photograph_is_read(seed: int, scale: int, side: int) -> None:
    rgb = _laid(_drawn(SAID, BarcodeFormat.QRCode, scale), (120, 160), _photo(seed, side), 0.12)
    assert SAID in [item.text for item in codes(rgb)]


def test_where_fur_lies_beside_water_the_code_over_both_is_read() -> None:
    rgb = _photo(5, 480)
    rgb[300:] = np.random.default_rng(5).integers(20, 110, (180, 480, 3))
    rgb = _laid(_drawn(SAID, BarcodeFormat.QRCode, 6), (100, 160), rgb, 0.16)
    assert SAID in [item.text for item in codes(rgb)]


def test_a_code_full_of_bytes_is_cut_to_the_budget() -> None:
    data = bytes(np.random.default_rng(1).integers(0, 256, 2900, dtype=np.uint8))
    light = _drawn(data, BarcodeFormat.QRCode, 4)
    found = codes(np.repeat(light[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255))
    assert len(found) == 1
    assert 0 < len(found[0].text) <= MAX_CHARS


def test_a_sheet_of_codes_is_cut_to_the_budget() -> None:
    sheet = np.tile(np.pad(_drawn(SAID, BarcodeFormat.QRCode, 3), 6, constant_values=True), (6, 6))
    found = codes(np.repeat(sheet[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255))
    assert 1 < len(found) <= MAX_CODES


@pytest.mark.parametrize("kind", ["noise", "checker", "finders"])
def test_patterns_full_of_finders_cost_bounded_time(kind: str) -> None:
    grey = np.random.default_rng(2).integers(0, 256, (1024, 1024), dtype=np.uint8)
    if kind == "checker":
        grey = (np.indices((1024, 1024)).sum(axis=0) // 4 % 2 * 255).astype(np.uint8)
    elif kind == "finders":
        finder = np.pad(np.pad(np.pad(np.zeros((3, 3)), 1, constant_values=1), 1), 1, constant_values=1)
        tile = cv2.resize(finder, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
        grey = (np.tile(tile, (29, 29))[:1024, :1024] * 30 + 100).astype(np.uint8)
    start = time.process_time()
    codes(np.repeat(grey[..., None], 3, axis=2))
    assert time.process_time() - start < 6.0


@pytest.mark.parametrize("variant", ["datamatrix_faint", "aztec_faint", "qr_faint"])
@pytest.mark.parametrize("kind", ["sign", "photo_jpeg", "meme"])
def test_faint_codes_are_read_wherever_they_stand(variant: str, kind: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        hidden = families.make("qr", covers.draw(kind, (640, 512), rng, "train"), SAID, rng, "train", variant=variant)
        found = codes(np.array(families.opened(hidden).convert("RGB")))
        assert SAID in [item.text for item in found]


@pytest.mark.parametrize(("seed", "length"), [(24, 64), (64, 35), (78, 67), (148, 64)])
def test_faint_codes_of_any_module_are_read(seed: int, length: int) -> None:
    rng = np.random.default_rng([77, seed])
    text = payload("train", rng)
    assert len(text) == length, "the kit draws other sentences: look for seeds anew"
    drawn = covers.draw("photo", (640, 512), rng, "train")
    hidden = families.make("qr", drawn, text, rng, "train", variant="datamatrix_faint")
    found = codes(np.array(families.opened(hidden).convert("RGB")))
    assert text in [item.text for item in found]


@pytest.mark.parametrize("shape", [(1, 1), (23, 400), (24, 24), (25, 31), (3, 2000)])
def test_pictures_of_any_size_are_looked_at_for_codes(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(100, 108, (*shape, 3), dtype=np.uint8)
    assert codes(rgb) == []
