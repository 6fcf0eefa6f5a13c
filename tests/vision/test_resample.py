from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from guardrail.settings import Limits, Preprocessing, Settings
from guardrail.signals import DecodedPicture, Picture, Role
from guardrail.vision.decode import decode
from guardrail.vision.hidden.scaling import suspects
from guardrail.vision.resample import resampled
from tests.attacks.hidden import covers, scaling
from tests.attacks.hidden.plans import Plan


def _decoded(picture: Image.Image, role: Role = Role.IMAGE, kind: str = "PNG") -> DecodedPicture:
    data = io.BytesIO()
    picture.save(data, kind)
    return decode(Picture(data.getvalue(), role), Limits())


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def _photo(size: tuple[int, int] = (800, 600), seed: int = 4) -> Image.Image:
    return covers.draw("photo", size, np.random.default_rng(seed), "train").convert("RGB")


def test_a_picture_is_brought_to_the_longest_side() -> None:
    (copy,) = resampled([_decoded(_photo((1600, 1200)))], Settings(resample_side=800))
    assert (_opened(copy).size, _opened(copy).format, _opened(copy).info) == ((800, 600), "PNG", {})


def test_a_small_harmless_picture_keeps_its_pixels() -> None:
    photo = _photo()
    (copy,) = resampled([_decoded(photo)], Settings())
    np.testing.assert_array_equal(np.asarray(_opened(copy)), np.asarray(photo))


def test_a_jpeg_stays_a_jpeg_and_a_mask_keeps_its_alpha() -> None:
    mask = Image.new("RGBA", (800, 600), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (100, 100, 500, 400))
    copies = resampled([_decoded(_photo(), kind="JPEG"), _decoded(mask, Role.MASK)], Settings(resample_side=400))
    first, second = (_opened(copy) for copy in copies)
    assert (first.format, first.size, second.size, second.mode) == ("JPEG", (400, 300), (400, 300), "RGBA")
    assert second.getpixel((150, 120)) == (255, 255, 255, 0)


def test_the_size_of_the_operators_model_is_used() -> None:
    settings = Settings(preprocessing=(Preprocessing(kernel="pil-bicubic", size=224, fit="short"),))
    (copy,) = resampled([_decoded(_photo())], settings)
    assert _opened(copy).size == (299, 224)


@pytest.mark.parametrize("kernel", ["pil_nearest", "cv2_linear"])
def test_nothing_is_left_of_an_attack_by_scaling(kernel: str) -> None:
    plan = Plan("sparse", kernel, (896, 672), (224, 168), "exact", 100.0, "luma", "uniform", 100.0)
    for attempt in range(20):
        rng = np.random.default_rng((9, attempt))
        attack = scaling.sparse(covers.draw("photo", plan.size, rng, "train"), plan, "train", rng)
        if scaling.works(attack):
            break
    pixels = scaling.pixels_of(attack.image)
    assert suspects(pixels)
    (copy,) = resampled([_decoded(Image.fromarray(pixels))], Settings())
    left = np.asarray(_opened(copy).convert("RGB"))
    assert left.shape[0] < 672
    assert not suspects(left)
