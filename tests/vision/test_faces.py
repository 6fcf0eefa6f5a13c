from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from guardrail.detector import DetectorContext, ModelProvider
from guardrail.errors import DetectionError
from guardrail.inference import ModelStore
from guardrail.settings import Limits, Settings
from guardrail.signals import DecodedPicture, FaceGallery, Frame, GenerationRequest, Picture, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector
from guardrail.vision.decode import decode
from guardrail.vision.faces import FacesDetector
from guardrail.vision.templates import template
from tests.vision.test_detect import _answers, portrait
from tests.vision.tiny import Listed, TinyModels, constant_net


def _picture(*frames: np.ndarray) -> DecodedPicture:
    height, width = frames[0].shape[:2]
    return DecodedPicture(
        Picture(b""), "png", width, height, tuple(Frame(index, rgb) for index, rgb in enumerate(frames))
    )


def _png(rgb: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "PNG")
    return data.getvalue()


def _tiny(faces: int, age: int = 40, value: float = 1.0) -> TinyModels:
    cells = [(row, column, 0.9) for row in range(1, 19, 3) for column in range(1, 19, 3)][:faces]
    shares = np.zeros(81, dtype=np.float32)
    shares[age] = value
    return TinyModels(
        yunet=constant_net("input", [3, 640, 640], _answers({32: cells})),
        sface=constant_net("data", [3, 112, 112], [np.eye(128, dtype=np.float32)[0]]),
        age_resnet10=constant_net("images", [3, 64, 64], [shares]),
    )


def _detector(models: ModelProvider, gallery: FaceGallery | None = None) -> FacesDetector:
    return FacesDetector(DetectorContext(Settings(), models, Listed(gallery)))


GREY = np.full((640, 640, 3), 100, dtype=np.uint8)
ENROLLED = FaceGallery(3, ("one", "two"), np.eye(128, dtype=np.float32)[1::-1])


def test_nobody_is_there() -> None:
    detection = _detector(_tiny(0)).detect(Subject(Stage.OUTPUT, GenerationRequest(), picture=_picture(GREY, GREY)))
    assert detection.signals == ()
    assert detection.coverage.inspected == ("vision.faces:frames=2", "vision.faces:faces=0", "vision.faces:least=12px")


def test_somebody_is_there_and_young() -> None:
    detection = _detector(_tiny(1, age=15)).detect(Subject(Stage.INPUT, GenerationRequest(), picture=_picture(GREY)))
    scores = best_scores(detection.signals)
    assert set(scores) == {"person.depicted", "minor.apparent"}
    assert scores["minor.apparent"] > 0.7
    assert detection.signals[0].evidence[0].box == (16, 16, 32, 32)


def test_somebody_enrolled_is_named_by_their_id() -> None:
    detection = _detector(_tiny(1), ENROLLED).detect(Subject(Stage.OUTPUT, GenerationRequest(), picture=_picture(GREY)))
    protected = next(found for found in detection.signals if found.name == "person.protected")
    assert protected.score > 0.99
    assert protected.evidence[0].ref == "two"
    assert "vision.faces:gallery=2" in detection.coverage.inspected


def test_the_upload_is_compared_at_the_output_only() -> None:
    request = GenerationRequest(uploads=(Picture(_png(GREY)),))
    picture = _picture(GREY)
    detector = _detector(_tiny(1))
    assert (
        best_scores(detector.detect(Subject(Stage.OUTPUT, request, picture=picture)).signals)["person.same_as_input"]
        > 0.99
    )
    at_input = detector.detect(Subject(Stage.INPUT, request, picture=picture))
    assert "person.same_as_input" not in best_scores(at_input.signals)


def test_an_upload_that_cannot_be_read_is_told() -> None:
    request = GenerationRequest(uploads=(Picture(b"no picture"),))
    detection = _detector(_tiny(1)).detect(Subject(Stage.OUTPUT, request, picture=_picture(GREY)))
    assert ("vision.faces:uploads", "an upload was refused: unknown_type") in {
        (skip.what, skip.why) for skip in detection.coverage.skipped
    }


def test_a_crowd_and_small_faces_are_told() -> None:
    detection = _detector(_tiny(30)).detect(Subject(Stage.OUTPUT, GenerationRequest(), picture=_picture(GREY)))
    assert [skip.what for skip in detection.coverage.skipped] == ["vision.faces:faces"]
    small = np.zeros((300, 300, 3), dtype=np.uint8)
    tiny = TinyModels(yunet=constant_net("input", [3, 640, 640], _answers({8: [(4, 4, 0.9)]})))
    detection = _detector(tiny).detect(Subject(Stage.OUTPUT, GenerationRequest(), picture=_picture(small)))
    assert [skip.what for skip in detection.coverage.skipped] == ["vision.faces:age"]


def test_a_net_that_fails_closes_the_look() -> None:
    with pytest.raises(DetectionError):
        _detector(_tiny(1, value=float("nan"))).detect(
            Subject(Stage.OUTPUT, GenerationRequest(), picture=_picture(GREY))
        )


@pytest.mark.models
def test_conforms(bare_context: DetectorContext) -> None:
    check_detector(FacesDetector(bare_context))


@pytest.mark.models
@pytest.mark.parametrize("change", ["mirror", "half", "jpeg", "grey", "left", "down", "right", "edge"])
def test_a_person_is_recognised_in_another_copy(models: ModelStore, change: str) -> None:
    astronaut, hopper = portrait(models, "astronaut.png"), portrait(models, "grace_hopper.jpg")
    gallery = FaceGallery(
        1,
        ("hopper", "astronaut"),
        np.stack([template(models, _picture(hopper)), template(models, _picture(astronaut))]),
    )
    copy = Image.fromarray(astronaut)
    if change == "mirror":
        copy = copy.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif change == "half":
        copy = copy.reduce(2)
    elif change == "grey":
        copy = copy.convert("L")
    elif change in ("left", "down", "right"):
        copy = copy.rotate({"left": 90, "down": 180, "right": 270}[change], expand=True)
    elif change == "edge":
        copy = copy.crop((190, 0, 512, 512))
    data = io.BytesIO()
    copy.save(data, "JPEG", quality=40 if change == "jpeg" else 90)
    subject = Subject(Stage.OUTPUT, GenerationRequest(), picture=decode(Picture(data.getvalue()), Limits()))
    found = _detector(models, gallery).detect(subject)
    protected = next(signal for signal in found.signals if signal.name == "person.protected")
    assert protected.score > 0.8
    assert protected.evidence[0].ref == "astronaut"


@pytest.mark.models
def test_two_people_are_not_one(models: ModelStore) -> None:
    astronaut, hopper = portrait(models, "astronaut.png"), portrait(models, "grace_hopper.jpg")
    request = GenerationRequest(uploads=(Picture(_png(hopper)),))
    scores = best_scores(_detector(models).detect(Subject(Stage.OUTPUT, request, picture=_picture(astronaut))).signals)
    assert scores["person.same_as_input"] < 0.2
    assert scores["minor.apparent"] < 0.2
