from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.signals import RGB, Frame
from guardrail.vision.hidden.frames import added, calm, fitted, passes, still
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line


def _ground(seed: int, size: tuple[int, int] = (160, 320)) -> RGB:
    grain = np.random.default_rng(seed).integers(0, 256, (size[0] // 8, size[1] // 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(grain, size[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _lettered(rgb: RGB, ink: int = 255) -> RGB:
    font = cv2.FONT_HERSHEY_SIMPLEX
    return np.asarray(cv2.putText(rgb.copy(), "the quiet harbour", (30, 90), font, 0.8, (ink,) * 3, 2), dtype=np.uint8)


def test_letters_over_a_scene_stand_alone_on_white() -> None:
    scene = _ground(1)
    over = _lettered(scene)
    change = added(over, [scene])
    assert change is not None
    strokes = _lettered(np.zeros_like(scene))[..., 0] > 200
    assert float(change[~(cv2.dilate(strokes.astype(np.uint8), np.ones((3, 3))) > 0)].min()) == 255
    assert float(change[strokes].mean()) < 80


@given(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([(160, 320), (700, 900)]))
def test_a_scene_that_moved_is_taken_away_all_the_same(across: int, down: int, size: tuple[int, int]) -> None:
    scene = _ground(2, size)
    over = _lettered(np.roll(scene, (down, across), (0, 1)))
    moved = fitted(scene, over)
    assert moved is not None
    change = added(over, [moved])
    assert change is not None
    assert np.count_nonzero(change[10:-10, 10:-10] < 255) < 1.5 * np.count_nonzero(
        _lettered(np.zeros_like(scene))[..., 0]
    )


def test_letters_that_have_gone_are_left_out() -> None:
    scene = _ground(9) // 4 + np.uint8(60)
    gone = cv2.putText(scene.copy(), "an old mill", (40, 130), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255,) * 3, 2)
    change = added(_lettered(scene), [np.asarray(gone, dtype=np.uint8)])
    assert change is not None
    above, below = (255 - part.astype(np.float32) for part in (change[60:100], change[105:140]))
    assert below.sum() < 0.1 * above.sum()


def test_the_frame_most_alike_counts() -> None:
    scene, other = _ground(3), _ground(3)
    other[:60] = 0
    change = added(_lettered(scene), [other, scene])
    assert change is not None
    assert int(change[:60].min()) == 255


def test_another_scene_and_the_same_frame_leave_nothing() -> None:
    assert added(_ground(4), [_ground(5)]) is None
    assert added(_ground(4), [_ground(4)]) is None
    assert added(_ground(4), []) is None


@given(st.integers(1, 5), st.integers(1, 5))
def test_frames_of_other_sizes_do_not_fit(height: int, width: int) -> None:
    small = np.zeros((height, width, 3), np.uint8)
    assert fitted(_ground(6), small) is None
    assert fitted(np.full_like(small, 255), small) is not None


def test_only_letters_that_were_there_before_are_still() -> None:
    scene = _ground(7)
    box = TextBox((150.0, 82.0), (240.0, 30.0), 0.0, 1.0)
    lettered, blank = _lettered(scene), np.full_like(scene, 90)
    assert still(box, lettered, np.clip(lettered, 6, 240))
    assert not still(box, lettered, scene)
    assert not still(box, lettered, blank)
    assert not still(box, blank, blank)
    assert [calm(box, item) for item in (scene, blank)] == [False, True]


@pytest.mark.parametrize(
    ("seconds", "standing", "gone"),
    [(0.12, 1, True), (0.12, 6, False), (2.0, 1, False), (None, 1, True), (None, 6, True)],
)
def test_a_line_passes_by_that_is_gone_before_it_is_read(seconds: float | None, standing: int, gone: bool) -> None:
    scenes = [np.roll(_ground(8), 3 * at, axis=1) for at in range(9)]
    shown = [_lettered(scene // 4) if 1 < at < 2 + standing else scene // 4 for at, scene in enumerate(scenes)]
    frames = [Frame(at, rgb, None, seconds) for at, rgb in enumerate(shown)]
    line = Line("the quiet harbour", 0.99, TextBox((150.0, 82.0), (240.0, 30.0), 0.0, 1.0))
    assert passes(line, frames, 2) is gone
