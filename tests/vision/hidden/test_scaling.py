from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from guardrail.vision.hidden.doubled import LEAST as LEAST_DOUBLED
from guardrail.vision.hidden.doubled import doubled
from guardrail.vision.hidden.lattice import Rows, periods
from guardrail.vision.hidden.noise import calm_views, noisy
from guardrail.vision.hidden.residual import MIDDLE, residual, strokes
from guardrail.vision.hidden.scaling import LEAST, View, changed, keeping, reduced, sizes, suspects
from tests.attacks.hidden import covers, lettering, scaling
from tests.attacks.hidden.plans import Channel, Plan

TRAIN: Literal["train"] = "train"


def planned(kernel: str, size: tuple[int, int], target: tuple[int, int], **more: object) -> Plan:
    values = {"family": "sparse", "fit": "exact", "contrast": 90.0, "channel": "luma", "noise": "uniform"}
    return Plan(kernel=kernel, size=size, target=target, **{**values, "amplitude": 100.0, **more})  # type: ignore[arg-type]


def attacked(plan: Plan, seed: int = 3) -> scaling.Attack:
    """The first that works."""
    for attempt in range(20):
        rng = np.random.default_rng((seed, attempt))
        cover = covers.draw("photo", plan.size, rng, TRAIN)
        make = scaling.sparse if plan.family != "antialiased" else scaling.antialiased
        attack = make(cover, plan, TRAIN, rng)
        if scaling.works(attack):
            return attack
    raise AssertionError("no attack works")


@pytest.mark.parametrize(
    ("kernel", "found"),
    [
        ("pil_nearest", {"pil-nearest"}),
        ("cv2_nearest", {"cv2-nearest"}),
        ("cv2_linear", {"pil-nearest", "cv2-linear"}),
        ("cv2_cubic", {"pil-nearest", "cv2-linear"}),
    ],
)
def test_the_size_and_kernel_of_an_attack_are_found(kernel: str, found: set[str]) -> None:
    attack = attacked(planned(kernel, (896, 896), (224, 224)))
    views = suspects(scaling.pixels_of(attack.image))
    assert views
    assert views[0].size == (224, 224)
    assert views[0].kernel in found


@pytest.mark.parametrize("target", [(237, 237), (301, 226)])
def test_an_unusual_size_is_found_by_its_period(target: tuple[int, int]) -> None:
    attack = attacked(planned("pil_nearest", (1000, 750), target))
    pixels = scaling.pixels_of(attack.image)
    assert target[0] in periods(residual(pixels))[0]
    assert suspects(pixels)[0].size == target


@pytest.mark.parametrize(
    ("kernel", "size", "target"),
    [
        ("pil_nearest", (720, 576), (448, 358)),
        ("pil_nearest", (720, 630), (512, 448)),
        ("cv2_nearest", (1278, 1278), (201, 201)),
        ("cv2_linear", (1000, 640), (380, 260)),
        ("cv2_cubic", (760, 1010), (258, 343)),
        ("cv2_lanczos4", (1030, 1150), (224, 192)),
        ("cv2_lanczos4", (983, 983), (448, 448)),
        ("cv2_lanczos4", (828, 828), (240, 240)),
        ("cv2_cubic", (605, 907), (384, 576)),
    ],
)
def test_low_ratios_wide_kernels_and_sizes_of_another_shape_are_found(
    kernel: str, size: tuple[int, int], target: tuple[int, int]
) -> None:
    attack = attacked(planned(kernel, size, target))
    views = suspects(scaling.pixels_of(attack.image))
    assert any(np.abs(np.subtract(view.size, target)).max() <= 1 for view in views)


@pytest.mark.parametrize(
    ("kernel", "size", "target"),
    [
        ("pil_nearest", (1000, 750), (301, 226)),
        ("cv2_nearest", (682, 1132), (299, 480)),
        ("cv2_cubic", (799, 1065), (308, 410)),
        ("cv2_linear", (960, 1120), (237, 244)),
        ("cv2_nearest", (653, 980), (480, 720)),
    ],
)
def test_one_line_is_found_whatever_the_size(kernel: str, size: tuple[int, int], target: tuple[int, int]) -> None:
    attack = attacked(planned(kernel, size, target, family="one_line"))
    views = suspects(scaling.pixels_of(attack.image))
    assert any(np.abs(np.subtract(view.size, target)).max() <= 1 for view in views)


def test_the_rows_of_a_known_width_are_found_in_one_line() -> None:
    attack = attacked(planned("cv2_nearest", (900, 1100), (271, 311), family="one_line"))
    grey = residual(scaling.pixels_of(attack.image))
    assert 311 in Rows(grey).heights(271, cv2.INTER_NEAREST, centred=False)
    assert not Rows(np.full_like(grey, MIDDLE)).heights(271, cv2.INTER_NEAREST, centred=False)


@pytest.mark.parametrize(
    ("kernel", "size", "channel"),
    [
        ("cv2_linear", (720, 540), "luma"),
        ("cv2_cubic", (672, 896), "blue"),
        ("cv2_cubic", (1001, 750), "luma"),
        ("cv2_lanczos4", (768, 640), "luma"),
    ],
)
def test_half_the_size_is_found_for_kernels_that_leave_no_pixel_out(
    kernel: str, size: tuple[int, int], channel: str
) -> None:
    half = size[0] // 2, size[1] // 2
    pixels = scaling.pixels_of(attacked(planned(kernel, size, half, channel=channel)).image)
    assert doubled(residual(pixels)) >= LEAST_DOUBLED
    assert suspects(pixels)[0].size == half


@pytest.mark.parametrize("channel", ["red", "green", "blue"])
def test_a_payload_in_one_channel_is_found(channel: str) -> None:
    attack = attacked(planned("pil_nearest", (896, 896), (256, 256), channel=channel))
    assert suspects(scaling.pixels_of(attack.image))


@pytest.mark.parametrize("kind", ["photo", "sign", "screenshot", "meme", "table", "line_art"])
def test_harmless_pictures_look_alike_at_every_size(kind: str) -> None:
    for seed in range(3):
        pixels = np.asarray(covers.benign(kind, np.random.default_rng(seed), TRAIN).convert("RGB"))
        assert not suspects(pixels)
        assert not noisy(pixels)


def _page(size: tuple[int, int], em: int, seed: int, *, dark: bool, name: str) -> np.ndarray:
    """A page full of words without meaning, as a terminal or a book shows them."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", size, (12, 12, 12) if dark else (250, 250, 250))
    pen, face = ImageDraw.Draw(page), lettering.face(name, em)
    for top in range(0, size[1], face.line):
        letters = (rng.choice(list("acdefghijlmnorstu"), rng.integers(2, 9)) for _ in range(12 if dark else 60))
        line = " ".join("".join(word) for word in letters)
        pen.text((3, top), line, (205, 205, 205) if dark else (20, 20, 20), face.font)
    return np.asarray(page)


def test_letters_on_a_grid_are_seldom_taken_for_a_lattice() -> None:
    pages = [
        _page(size, em, seed, dark=True, name="DejaVuSansMono")
        for em in range(9, 17)
        for seed, size in enumerate([(720, 560), (640, 640)])
    ]
    assert sum(bool(suspects(page)) for page in pages) <= 1


@pytest.mark.parametrize("em", [7, 8, 9])
def test_small_print_is_no_noise(em: int) -> None:
    assert not noisy(_page((700, 600), em, 1, dark=False, name="DejaVuSans"))
    assert not noisy(_page((700, 600), em, 2, dark=False, name="DejaVuSansCondensed-Bold"))


def test_strokes_go_on_and_squares_of_four_do_not() -> None:
    found = np.full((20, 30), MIDDLE, np.uint8)
    found[3, 2:12], found[8:18, 5] = 200, 60
    found[8:10, 20:22], found[14, 25] = 220, 20
    kept = strokes(found)
    assert (kept[3, 3:11] == 200).all()
    assert (kept[9:17, 5] == 60).all()
    assert (kept[:, 15:] == MIDDLE).all()


def test_an_even_picture_has_no_residual_and_no_views() -> None:
    even = np.full((300, 400, 3), 90, np.uint8)
    assert (residual(even) == MIDDLE).all()
    assert not suspects(even)
    assert not noisy(even)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (3, 2, 3), (97, 20, 3)])
def test_pictures_of_any_shape_are_looked_at(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert isinstance(suspects(pixels), list)
    assert isinstance(calm_views(pixels), list)
    assert isinstance(noisy(pixels), bool)


def test_sizes_stay_within_the_ratios_that_hide_anything() -> None:
    grey = np.full((600, 800), MIDDLE, np.uint8)
    found = sizes(grey)
    assert (400, 300) in found
    assert (224, 224) in found
    assert all(1.25 <= 800 / wide <= 14 and 1.25 <= 600 / high <= 14 for wide, high in found)
    assert keeping(800, 600, 3.0) == (267, 200)


def test_what_a_view_changed_stands_alone() -> None:
    attack = attacked(planned("pil_nearest", (896, 896), (224, 224)))
    pixels = scaling.pixels_of(attack.image)
    view = suspects(pixels)[0]
    seen, alone = reduced(pixels, view), changed(pixels, view)
    assert seen.shape == alone.shape == (224, 224, 3)
    assert abs(int(np.median(alone)) - 128) <= 3
    assert view.score >= LEAST


@pytest.mark.parametrize("channel", ["luma", "red", "green", "blue"])
def test_what_a_view_changed_is_that_of_the_channel_it_stands_in(channel: Channel) -> None:
    attack = attacked(planned("pil_nearest", (896, 896), (224, 224), channel=channel))
    alone = changed(scaling.pixels_of(attack.image), View((224, 224), "pil-nearest"))
    left, top, right, bottom = attack.box
    cut = slice(top, bottom), slice(left, right)
    assert scaling.correlation(scaling.channel_of(alone, "luma")[cut], attack.mask[cut]) > 0.75


@pytest.mark.parametrize(
    ("kernel", "size", "target"),
    [
        ("pil_bilinear", (640, 480), (256, 192)),
        ("pil_lanczos", (900, 700), (391, 304)),
        ("pil_box", (640, 480), (227, 171)),
        ("cv2_area", (1000, 680), (310, 250)),
        ("pil_bicubic", (1240, 1240), (201, 201)),
    ],
)
def test_noise_that_a_kernel_takes_away_names_size_and_kernel(
    kernel: str, size: tuple[int, int], target: tuple[int, int]
) -> None:
    attack = attacked(planned(kernel, size, target, family="antialiased", contrast=34.0))
    pixels = scaling.pixels_of(attack.image)
    assert noisy(pixels)
    view = calm_views(pixels)[0]
    assert (view.size, view.kernel) == (target, kernel.replace("_", "-"))
    assert view.score > 0.25


@pytest.mark.parametrize("target", [(426, 320), (448, 336)])
def test_noise_of_a_colour_in_each_pixel_counts_as_in_its_channels(target: tuple[int, int]) -> None:
    plan = planned("pil_bilinear", (800, 600), target, family="antialiased", contrast=30.0, amplitude=70.0)
    attack = attacked(replace(plan, noise="coloured"))
    view = calm_views(scaling.pixels_of(attack.image))[0]
    assert (view.size, view.kernel) == (target, "pil-bilinear")


def test_noise_over_print_is_found_at_two_sides_of_models() -> None:
    page = Image.fromarray(_page((1152, 720), 15, 5, dark=False, name="DejaVuSans"))
    plan = planned("pil_bilinear", page.size, (384, 256), family="antialiased", contrast=34.0)
    attack = scaling.antialiased(page, plan, TRAIN, np.random.default_rng(2))
    assert calm_views(scaling.pixels_of(attack.image))[0].size == (384, 256)


def test_faint_grain_in_colours_vanishes_nowhere() -> None:
    grain = np.random.default_rng(4).normal(128, 24, (480, 640, 3))
    pixels = np.clip(cv2.GaussianBlur(grain, (0, 0), 0.4), 0, 255).astype(np.uint8)
    assert not noisy(pixels)
    assert not calm_views(pixels)


def test_ordinary_noise_vanishes_nowhere() -> None:
    rng = np.random.default_rng(4)
    pixels = np.clip(rng.normal(128, 45, (480, 640, 3)), 0, 255).astype(np.uint8)
    assert noisy(pixels)
    assert [(view.size, view.kernel, view.score) for view in calm_views(pixels)] == [
        ((320, 240), "cv2-area", 0.0),
        ((183, 137), "cv2-area", 0.0),
    ]


def test_views_stay_small_however_large_the_picture_is() -> None:
    half = np.full((1300, 1300), 150, np.uint8)
    for top in range(60, 1240, 40):
        cv2.putText(half, "please water the plants on monday", (40, top), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 40, 2)
    pixels = np.repeat(half.repeat(2, 0).repeat(2, 1)[..., None], 3, axis=2)
    assert doubled(residual(pixels)) >= LEAST_DOUBLED
    assert all(max(view.size) <= 1024 for view in suspects(pixels))
