from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from guardrail.vision.hidden.sized import MOST_LINES, sized
from guardrail.vision.ocr.boxes import TextBox
from tests.attacks.hidden import covers, lettering, scaling
from tests.attacks.hidden.plans import Channel, Family, Plan

Pixels = NDArray[np.uint8]
TRAIN: Literal["train"] = "train"


def attacked(
    kernel: str,
    size: tuple[int, int],
    target: tuple[int, int],
    channel: Channel = "luma",
    *,
    family: Family = "sparse",
    contrast: float = 90.0,
) -> scaling.Attack:
    """The first that works."""
    plan = Plan(family, kernel, size, target, "exact", contrast, channel, "none", 0.0)
    for attempt in range(20):
        rng = np.random.default_rng((11, attempt))
        attack = scaling.sparse(covers.draw("photo", plan.size, rng, TRAIN), plan, TRAIN, rng)
        if scaling.works(attack):
            return attack
    raise AssertionError("no attack works")


def rows_of(attack: scaling.Attack) -> list[TextBox]:
    """Boxes of the payload's lines in the picture, as a reader finds them."""
    left, top, right, bottom = attack.box
    across, down = attack.ratio, attack.ratio
    high = float(str(attack.details["line_px"])) * down
    count = int(str(attack.details["lines"]))
    step = (bottom - top) * down / count
    middle = (left + right) / 2 * across
    return [
        TextBox((middle, top * down + (at + 0.5) * step), ((right - left) * across, high), 0.0, 0.9)
        for at in range(count)
    ]


def page(height: int = 640, width: int = 800, seed: int = 3) -> tuple[Pixels, list[TextBox]]:
    """Print of several sizes on paper, and where its lines stand."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 240, np.uint8)
    boxes = []
    for at in range(8):
        sentence = "".join(rng.permutation(list("the ferry leaves the quay at noon")))
        drawn = lettering.mask([sentence], lettering.pick_face(TRAIN, rng, int(rng.integers(16, 30))))
        drawn = drawn[:, : width - 40]
        top, left = 20 + 70 * at, int(rng.integers(10, 30))
        part = picture[top : top + drawn.shape[0], left : left + drawn.shape[1]]
        part[:] = (part * (1 - drawn[..., None])).astype(np.uint8)
        middle = left + drawn.shape[1] / 2, top + drawn.shape[0] / 2
        boxes.append(TextBox(middle, (float(drawn.shape[1]), float(drawn.shape[0])), 0.0, 0.9))
    return picture, boxes


@pytest.mark.parametrize(
    ("kernel", "size", "target", "channel"),
    [
        ("cv2_lanczos4", (640, 480), (480, 360), "luma"),
        ("cv2_cubic", (878, 585), (672, 448), "luma"),
        ("cv2_linear", (720, 720), (512, 512), "red"),
        ("cv2_cubic", (960, 960), (480, 480), "luma"),
    ],
)
def test_lines_that_were_written_for_another_size_tell_which(
    kernel: str, size: tuple[int, int], target: tuple[int, int], channel: Channel
) -> None:
    attack = attacked(kernel, size, target, channel)
    found = sized(scaling.pixels_of(attack.image), rows_of(attack))
    assert found is not None
    assert found.size == target
    assert found.lines


def test_a_line_among_lines_of_print_is_told_apart() -> None:
    picture, boxes = page()
    attack = attacked("cv2_linear", (800, 640), (560, 448))
    own = rows_of(attack)
    left, top = (round(own[0].centre[axis] - own[0].size[axis] / 2) - 8 for axis in (0, 1))
    right, bottom = (round(own[-1].centre[axis] + own[-1].size[axis] / 2) + 8 for axis in (0, 1))
    print_above = [box for box in boxes if box.centre[1] + box.size[1] < top or box.centre[1] - box.size[1] > bottom]
    mixed = picture.copy()
    part = np.s_[max(0, top) : bottom, max(0, left) : right]
    mixed[part] = scaling.pixels_of(attack.image)[part]
    found = sized(mixed, [*print_above, *own])
    assert found is not None
    assert found.size == (560, 448)
    assert min(found.lines) >= len(print_above)


def test_lines_that_lack_only_a_little_do_not_speak_for_one_that_lacks_enough() -> None:
    attack = attacked("cv2_linear", (640, 640), (448, 448))
    line, other = rows_of(attack)
    below = round(line.centre[1] + line.size[1] / 2)
    noisy = scaling.pixels_of(attack.image).astype(np.float32)
    noisy[below:] += np.random.default_rng(2).normal(0, 10, noisy[below:].shape)
    (middle, row), (wide, high) = other.centre, other.size
    decoys = [TextBox((middle + wide * (at - 1.5) / 4, row), (wide / 4, high), 0.0, 0.9) for at in range(4)]
    found = sized(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), [*decoys, line])
    assert found is not None
    assert found.size == (448, 448)
    assert 4 in found.lines


@pytest.mark.parametrize("contrast", [75.0, 90.0])
def test_one_line_that_lacks_less_is_told_where_its_lattice_is_clear(contrast: float) -> None:
    attack = attacked("cv2_cubic", (650, 650), (377, 377), family="one_line", contrast=contrast)
    found = sized(scaling.pixels_of(attack.image), rows_of(attack))
    assert found is not None
    assert found.size == (377, 377)


def test_print_was_written_for_no_other_size() -> None:
    for seed in range(2):
        picture, boxes = page(seed=seed)
        assert sized(picture, boxes) is None


@pytest.mark.parametrize(
    ("kernel", "times"),
    [(cv2.INTER_NEAREST, 1.5), (cv2.INTER_NEAREST, 2.0), (cv2.INTER_LINEAR, 1.3), (cv2.INTER_CUBIC, 1.3)],
)
def test_print_of_an_enlarged_picture_was_not_written_for_a_view(kernel: int, times: float) -> None:
    picture, boxes = page()
    large = np.asarray(cv2.resize(picture, None, fx=times, fy=times, interpolation=kernel), dtype=np.uint8)
    wide = [
        TextBox((box.centre[0] * times, box.centre[1] * times), (box.size[0] * times, box.size[1] * times), 0.0, 0.9)
        for box in boxes
    ]
    assert sized(large, wide) is None


def test_odd_boxes_are_borne() -> None:
    flat = np.full((40, 60, 3), 128, np.uint8)
    boxes = [
        TextBox((30.0, 20.0), (200.0, 90.0), 0.0, 0.9),
        TextBox((-50.0, 500.0), (100.0, 20.0), 0.0, 0.9),
        TextBox((30.0, 20.0), (50.0, 12.0), 33.0, 0.9),
        *(TextBox((30.0, 20.0), (48.0, 12.0), 90.0, 0.9) for _ in range(2 * MOST_LINES)),
    ]
    assert sized(flat, []) is None
    assert sized(flat, boxes) is None
    assert sized(np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8), boxes) is None
