from __future__ import annotations

import io
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from guardrail.detector import DetectorContext, ModelSession
from guardrail.inference import ModelStore
from guardrail.settings import Limits, Settings
from guardrail.signals import RGB, DecodedPicture, GenerationRequest, Picture, Role, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector
from guardrail.vision.bodies import around, covered, parts
from guardrail.vision.combiner import one_look
from guardrail.vision.decode import decode
from guardrail.vision.detect import Face
from guardrail.vision.edits import LEAST_TOLD, EditsDetector, delta, masked, most
from guardrail.vision.exposure import IMAGE_SAFETY, OPEN_NSFW
from guardrail.vision.masks import drawn, fitted, transparent
from guardrail.vision.nudity import NudityDetector
from guardrail.vision.pyramid import Level
from tests.vision.marker import MarkedModels, marked, png
from tests.vision.test_detect import portrait
from tests.vision.tiny import Listed

FACE = Face((100, 40, 40, 50), 0.9, np.zeros((5, 2), dtype=np.float32))
CHEST = (0.2, 0.62, 0.8, 1.0)


@pytest.fixture(scope="module")
def marked_models(models: ModelStore) -> MarkedModels:
    return MarkedModels(models)


@pytest.fixture
def detector(marked_models: MarkedModels) -> EditsDetector:
    return EditsDetector(DetectorContext(Settings(), marked_models, Listed()))


@pytest.fixture(scope="module")
def clothed(models: ModelStore) -> RGB:
    return portrait(models, "astronaut.png")


def _output(detector: EditsDetector, uploads: list[Picture], output: RGB) -> dict[str, float]:
    picture = decode(Picture(png(output)), Limits())
    request = GenerationRequest(uploads=tuple(uploads), operation="edit")
    return best_scores(detector.detect(Subject(Stage.OUTPUT, request, picture=picture)).signals)


def _input(
    detector: EditsDetector, picture: Picture, mask: Picture | None, **params: str | int | float | bool
) -> dict[str, float]:
    request = GenerationRequest(uploads=(picture, mask) if mask else (picture,), operation="edit", params=params)
    subject = Subject(Stage.INPUT, request, picture=decode(picture, Limits()))
    return best_scores(detector.detect(subject).signals)


def test_delta_asks_for_more_and_for_enough() -> None:
    assert delta(0.02, 0.9) > 0.9
    assert delta(0.02, 0.3) > 0.5
    assert delta(0.02, 0.15) < 0.5
    assert delta(0.6, 0.7) < 0.3
    assert delta(0.9, 0.9) < 0.3
    rising = [delta(0.1, after) for after in np.linspace(0, 1, 30)]
    falling = [delta(before, 0.8) for before in np.linspace(0, 1, 30)]
    assert all(low <= high for low, high in pairwise(rising))
    assert all(low >= high for low, high in pairwise(falling))
    assert 0 <= min(*rising, *falling) <= max(*rising, *falling) <= 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_nothing_before_an_edit_lifts_its_score_over_the_most(before: float, after: float) -> None:
    assert delta(before, after) <= most(after)
    assert most(0.02) < LEAST_TOLD < most(0.1)


def test_masked_is_even_at_three_tenths() -> None:
    assert masked(0.0) < 0.05
    assert masked(0.3) == pytest.approx(0.5)
    assert masked(0.7) > 0.95


@pytest.mark.models
def test_the_same_person_with_more_uncovered(detector: EditsDetector, clothed: RGB) -> None:
    scores = _output(detector, [Picture(png(clothed))], marked(clothed, CHEST))
    assert scores["edit.exposure_delta"] > 0.9


@pytest.mark.models
@pytest.mark.parametrize("change", ["background", "mirror", "nothing"])
def test_other_edits_uncover_nobody(detector: EditsDetector, clothed: RGB, change: str) -> None:
    output = clothed.copy()
    if change == "background":
        output[:120, :150] = output[:120, 300:450][:, ::-1]
        output[:200, 400:] = (30, 90, 160)
    elif change == "mirror":
        output = np.ascontiguousarray(output[:, ::-1])
    assert _output(detector, [Picture(png(clothed))], output)["edit.exposure_delta"] < 0.3


@pytest.mark.models
def test_another_person_says_nothing(detector: EditsDetector, models: ModelStore, clothed: RGB) -> None:
    hopper = portrait(models, "grace_hopper.jpg")
    assert _output(detector, [Picture(png(hopper))], marked(clothed, CHEST)) == {}
    assert _output(detector, [], marked(clothed, CHEST)) == {}


@pytest.mark.models
def test_a_bare_figure_beside_the_person_excuses_nothing(
    detector: EditsDetector, models: ModelStore, clothed: RGB
) -> None:
    statue = np.full((300, 200, 3), 255, dtype=np.uint8)
    statue[:, :, 1] = 0
    uploads = [
        Picture(png(statue), Role.CONTROL),
        Picture(png(clothed)),
        Picture(png(portrait(models, "grace_hopper.jpg"))),
    ]
    assert _output(detector, uploads, marked(clothed, CHEST))["edit.exposure_delta"] > 0.9


@pytest.mark.models
def test_the_barest_of_several_uploads_of_one_person_excuses_nothing(detector: EditsDetector, clothed: RGB) -> None:
    bare = marked(clothed, CHEST)
    assert _output(detector, [Picture(png(bare)), Picture(png(clothed))], bare)["edit.exposure_delta"] > 0.9
    assert _output(detector, [Picture(png(bare))], bare)["edit.exposure_delta"] < 0.3


@pytest.mark.models
def test_outpainting_a_head_with_a_body(detector: EditsDetector, clothed: RGB) -> None:
    head = clothed[20:200, 130:330]
    assert _output(detector, [Picture(png(head))], marked(clothed, CHEST))["edit.exposure_delta"] > 0.9
    assert _output(detector, [Picture(png(head))], clothed)["edit.exposure_delta"] < 0.3


@pytest.mark.models
def test_the_face_on_another_body(detector: EditsDetector, clothed: RGB) -> None:
    scene = np.full((512, 700, 3), 128, dtype=np.uint8)
    scene[60:260, 300:500] = clothed[20:220, 130:330]
    swapped = marked(scene, (0.4, 0.52, 0.75, 1.0))
    assert _output(detector, [Picture(png(clothed))], swapped)["edit.exposure_delta"] > 0.9
    assert _output(detector, [Picture(png(clothed))], scene)["edit.exposure_delta"] < 0.3


@pytest.mark.models
def test_uploads_are_looked_at_once_for_all_outputs(
    models: ModelStore, clothed: RGB, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = EditsDetector(DetectorContext(Settings(), MarkedModels(models), Listed()))
    seen: list[Picture] = []

    def counted(picture: Picture, limits: Limits) -> DecodedPicture:
        seen.append(picture)
        return decode(picture, limits)

    monkeypatch.setattr("guardrail.vision.uploads.decode", counted)
    upload = Picture(png(clothed))
    for _ in range(3):
        assert _output(detector, [upload], clothed)["edit.exposure_delta"] <= LEAST_TOLD
    assert len(seen) == 1  # for the faces: nobody is bare enough afterwards to ask how bare they were
    for _ in range(3):
        assert _output(detector, [upload], marked(clothed, CHEST))["edit.exposure_delta"] > 0.9
    assert len(seen) == 2  # once more for the exposure


class _Counted(MarkedModels):
    """Counts what the exposure nets look at."""

    def __init__(self, models: ModelStore) -> None:
        super().__init__(models)
        self.looks: Counter[str] = Counter()

    def session(self, name: str) -> ModelSession:
        self.looks[name] += 1
        return super().session(name)


@pytest.mark.models
def test_what_edits_saw_of_an_output_is_not_looked_at_again(models: ModelStore, clothed: RGB) -> None:
    counted = _Counted(models)
    context = DetectorContext(Settings(), counted, Listed())
    edits, nudity = EditsDetector(context), NudityDetector(context)
    request = GenerationRequest(uploads=(Picture(png(clothed)),), operation="edit")
    output = decode(Picture(png(marked(clothed, CHEST))), Limits())
    alone = best_scores(nudity.detect(Subject(Stage.OUTPUT, request, picture=output)).signals)
    before = counted.looks.copy()
    subject = Subject(Stage.OUTPUT, request, picture=output)
    assert best_scores(edits.detect(subject).signals)["edit.exposure_delta"] > 0.9
    counted.looks.clear()
    assert best_scores(nudity.detect(subject).signals) == pytest.approx(alone, abs=1e-6)
    assert counted.looks[IMAGE_SAFETY] == 0
    assert counted.looks[OPEN_NSFW] == before[OPEN_NSFW] - 1


def test_the_second_net_is_left_out_where_it_changes_nothing(models: ModelStore, clothed: RGB) -> None:
    counted = _Counted(models)
    bare = one_look(counted, Level(0, marked(clothed, (0.0, 0.0, 1.0, 1.0))))
    counted.looks.clear()
    assert one_look(counted, Level(0, clothed), bare) == bare
    assert counted.looks == {OPEN_NSFW: 1}
    assert one_look(counted, Level(0, clothed), 0.0) < bare
    assert counted.looks[IMAGE_SAFETY] == 1


def _mask(shape: tuple[int, ...], box: tuple[float, float, float, float], *, inverted: bool = False) -> Image.Image:
    height, width = shape[:2]
    mask = Image.new("L", (width, height), 255 if inverted else 0)
    left, top, right, bottom = box
    mask.paste(
        0 if inverted else 255,
        (round(left * width), round(top * height), round(right * width), round(bottom * height)),
    )
    return mask


def _encoded(picture: Image.Image, role: Role = Role.MASK) -> Picture:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return Picture(data.getvalue(), role)


@pytest.mark.models
@pytest.mark.parametrize("size", [1.0, 0.5])
def test_a_mask_over_the_body(detector: EditsDetector, clothed: RGB, size: float) -> None:
    upload = Picture(png(clothed))
    mask = _mask(clothed.shape, CHEST)
    mask = mask.resize((round(mask.width * size), round(mask.height * size)))
    assert _input(detector, upload, _encoded(mask))["edit.mask_over_person"] > 0.9
    sky = _mask(clothed.shape, (0.0, 0.0, 1.0, 0.1))
    assert 0.1 < _input(detector, upload, _encoded(sky))["edit.mask_over_person"] < 0.5
    assert _input(detector, upload, _encoded(sky), inpainting_mask_invert=0)["edit.mask_over_person"] < 0.1
    assert _input(detector, upload, None) == {}


@pytest.mark.models
@pytest.mark.parametrize("told", [1, "true", True])
def test_an_inverted_mask(detector: EditsDetector, clothed: RGB, told: str | int | bool) -> None:
    upload = Picture(png(clothed))
    mask = _encoded(_mask(clothed.shape, CHEST, inverted=True))
    assert _input(detector, upload, mask, inpainting_mask_invert=told)["edit.mask_over_person"] > 0.9


@pytest.mark.models
def test_a_transparent_mask_and_a_transparent_picture(detector: EditsDetector, clothed: RGB) -> None:
    alpha = Image.eval(_mask(clothed.shape, CHEST), lambda level: 255 - level)
    cut = Image.fromarray(clothed)
    cut.putalpha(alpha)
    own = _encoded(cut, Role.IMAGE)
    assert _input(detector, own, None)["edit.mask_over_person"] > 0.9
    assert _input(detector, Picture(png(clothed)), _encoded(cut))["edit.mask_over_person"] > 0.9


@pytest.mark.models
def test_a_mask_that_cannot_be_read_is_told(detector: EditsDetector, clothed: RGB) -> None:
    upload = Picture(png(clothed))
    request = GenerationRequest(uploads=(upload, Picture(b"no mask", Role.MASK)))
    found = detector.detect(Subject(Stage.INPUT, request, picture=decode(upload, Limits())))
    assert [skip.why for skip in found.coverage.skipped] == ["a mask was refused: unknown_type"]


def test_bodies_lie_below_faces() -> None:
    chest, belly, hips = parts(FACE, 400, 600)
    assert chest[1] < belly[1] < hips[1]
    assert chest == (68, 108, 104, 62)
    assert around(FACE, 400, 600) == (24, 15, 192, 335)
    assert around(FACE, 400, 100) is None
    assert parts(FACE, 400, 95) == []


def test_covered_is_the_share_of_the_part_most_under_the_mask() -> None:
    mask = np.zeros((600, 400), dtype=bool)
    assert covered(mask, FACE) == 0
    mask[108:139, :] = True
    assert covered(mask, FACE) == pytest.approx(0.5, abs=0.02)
    assert covered(mask[:95], FACE) == 0


def test_conventions_of_masks() -> None:
    half = np.zeros((10, 10, 3), dtype=np.uint8)
    half[:5] = 255
    mask = decode(Picture(png(half), Role.MASK), Limits())
    bright, sure = drawn(mask, {})
    assert bright[:5].all()
    assert not bright[5:].any()
    assert not sure
    turned, sure = drawn(mask, {"inpainting_mask_invert": "on"})
    assert np.array_equal(turned, ~bright)
    assert sure
    assert transparent(mask) is None
    assert fitted(bright, 20, 20).shape == (20, 20)
    assert fitted(bright, 20, 20)[:10].all()


@pytest.mark.models
def test_conforms(bare_context: DetectorContext) -> None:
    check_detector(EditsDetector(bare_context))
