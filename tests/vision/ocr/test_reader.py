from __future__ import annotations

import cv2
import numpy as np
import pytest

from guardrail.errors import DetectionError, ModelMissingError
from guardrail.inference import ModelStore
from guardrail.vision.ocr import boxes
from guardrail.vision.ocr.boxes import MAX_BOXES, TextBox, boxes_of
from guardrail.vision.ocr.lines import HEIGHT, upright
from guardrail.vision.ocr.reader import Reader
from tests.vision.tiny import TinyModels, constant_net


def _page(text: str = "the quiet harbour", angle: float = 0.0) -> np.ndarray:
    page = np.full((360, 640, 3), 235, np.uint8)
    cv2.putText(page, text, (60, 190), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (20, 20, 20), 4, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((320, 180), angle, 1)
    return np.asarray(cv2.warpAffine(page, turn, (640, 360), borderValue=(235, 235, 235)), dtype=np.uint8)


@pytest.mark.models
@pytest.mark.parametrize("angle", [0.0, 8.0, -12.0])
def test_a_line_is_read_at_its_angle(models: ModelStore, angle: float) -> None:
    read = Reader(models).read(_page(angle=angle), 512)
    assert "".join(read.text.split()).lower() == "thequietharbour"
    assert read.skipped == 0
    assert read.lines[0].score > 0.8


@pytest.mark.models
def test_lines_come_in_reading_order(models: ModelStore) -> None:
    page = np.vstack([_page("first line"), _page("second line")])
    assert [line.text[0] for line in Reader(models).read(page, 736).lines] == ["f", "s"]


@pytest.mark.models
def test_lines_beyond_the_budget_are_counted(models: ModelStore) -> None:
    page = np.vstack([_page("first line"), _page("second line"), _page("third line")])
    read = Reader(models).read(page, 736, most=2)
    assert (len(read.lines), read.skipped) == (2, 1)


@pytest.mark.models
def test_an_empty_wall_says_nothing(models: ModelStore) -> None:
    assert Reader(models).read(np.full((300, 400, 3), 128, np.uint8), 512).text == ""


@pytest.mark.models
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (2000, 2, 3)])
def test_pictures_of_any_shape_are_read(models: ModelStore, shape: tuple[int, int, int]) -> None:
    assert Reader(models).read(np.zeros(shape, np.uint8), 512).lines == ()


def test_a_map_full_of_specks_is_bounded() -> None:
    likely = np.zeros((1280, 1280), np.float32)
    for top in range(2, 1270, 12):
        for left in range(2, 1270, 12):
            likely[top : top + 7, left : left + 8] = 1
    assert MAX_BOXES < len(boxes_of(likely)) <= 4 * MAX_BOXES


def test_a_network_that_answers_another_shape_is_a_detection_error() -> None:
    wrong = constant_net("x", [3, 320, 480], [np.zeros((1, 4, 4), np.float32)])
    with pytest.raises(DetectionError, match="shape"):
        boxes.find(TinyModels(ppocr_v4_det=wrong), np.zeros((320, 480, 3), np.uint8), 512)


def test_missing_networks_are_known_at_construction() -> None:
    with pytest.raises(ModelMissingError):
        Reader(TinyModels())


def test_a_turned_box_is_cut_upright() -> None:
    picture = _page(angle=30.0)
    strip = upright(picture, TextBox((320.0, 180.0), (500.0, 60.0), -30.0, 1.0))
    assert strip.shape[0] == HEIGHT
    assert strip.std() > 20


@pytest.mark.models
def test_letters_that_a_box_cuts_off_are_there_when_it_is_read_again(models: ModelStore) -> None:
    reader, page = Reader(models), _page()
    inked = np.flatnonzero((page < 128).any(axis=(0, 2)))
    left, right = inked[0] + 8, inked[-1] - 8
    box = TextBox(((left + right) / 2, 180.0), (float(right - left), 64.0), 0.0, 1.0)
    cut = reader.read_boxes(page, [box]).lines
    again = reader.read_again(page, cut)
    assert "".join(cut[0].text.split()).lower() != "thequietharbour"
    assert "".join(again[0].text.split()).lower() == "thequietharbour"
    assert again[0].box == box
    assert reader.read_again(np.full_like(page, 235), cut) == list(cut)
