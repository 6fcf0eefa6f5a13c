"""Faces and edits under hostile or broken conditions: a typed error or a closed verdict, in bounded time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guardrail.detector import Detector, DetectorContext, ModelProvider
from guardrail.errors import ModelIntegrityError, RecordError
from guardrail.guard import Guard
from guardrail.inference import ModelStore
from guardrail.records import LocalRegistry, PeopleStore
from guardrail.settings import Settings, load_settings
from guardrail.signals import RGB, GenerationRequest, Picture, Role
from guardrail.verdict import Action, Verdict
from guardrail.vision.detect import MAX_FACES
from guardrail.vision.edits import EditsDetector
from guardrail.vision.embed import CENTRE, SFACE
from guardrail.vision.faces import FacesDetector
from guardrail.vision.seen import MAX_JUDGED
from tests.records.parts import templates
from tests.vision.marker import png
from tests.vision.test_detect import _answers, portrait
from tests.vision.tiny import TinyModels, constant_net

pytestmark = pytest.mark.models


def _guard(settings: Settings, models: ModelProvider) -> Guard:
    context = DetectorContext(settings, models, LocalRegistry(settings))
    detectors: list[Detector] = [FacesDetector(context), EditsDetector(context)]
    return Guard.from_policy("floor", settings=settings, models=models, detectors=detectors)


def _output(guard: Guard, rgb: RGB, *uploads: Picture) -> Verdict:
    return guard.check_outputs_sync(GenerationRequest(uploads=uploads, operation="edit"), [png(rgb)])[0]


@pytest.fixture
def quiet(settings: Settings) -> Settings:
    return settings.model_copy(update={"record": False})


@pytest.mark.slow
@pytest.mark.parametrize(("side", "columns", "rows"), [(50, 40, 25), (100, 32, 32)])
def test_a_thousand_faces_are_bounded_and_told(
    quiet: Settings, models: ModelStore, side: int, columns: int, rows: int
) -> None:
    face = np.asarray(Image.fromarray(portrait(models, "astronaut.png")[40:220, 140:320]).resize((side, side)))
    crowd = np.tile(face, (rows, columns, 1))
    with _guard(quiet, models) as guard:
        verdict = _output(guard, crowd, Picture(png(crowd)))
    assert verdict.action is Action.ALLOW
    inspected = dict(item.split("=") for item in verdict.coverage.inspected)
    # each face is 16 or 20 pixels large where faces are looked for
    assert int(inspected["vision.faces:least"].removesuffix("px")) > 35
    if int(inspected["vision.faces:faces"]) > MAX_JUDGED:
        told = {skip.what for skip in verdict.coverage.skipped}
        assert {"vision.faces:faces", "vision.faces:uploads", "vision.edits:bodies"} <= told
    for signal in verdict.signals:
        assert len(signal.evidence) <= MAX_JUDGED


@pytest.mark.slow
def test_more_faces_than_are_kept_are_counted(quiet: Settings, models: ModelStore) -> None:
    face = np.asarray(Image.fromarray(portrait(models, "astronaut.png")[40:220, 140:320]).resize((60, 60)))
    crowd = np.tile(face, (10, 10, 1))
    with _guard(quiet, models) as guard:
        verdict = _output(guard, crowd, Picture(png(crowd)))
    inspected = dict(item.split("=") for item in verdict.coverage.inspected)
    assert int(inspected["vision.faces:faces"]) > MAX_FACES
    told = {skip.what for skip in verdict.coverage.skipped}
    assert {"vision.faces:faces", "vision.faces:uploads", "vision.edits:bodies"} <= told


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("long", [False, True])
def test_a_face_half_beyond_the_border(quiet: Settings, models: ModelStore, side: str, long: bool) -> None:
    rgb = portrait(models, "astronaut.png")
    cut = {"left": rgb[:, 222:], "right": rgb[:, :222], "top": rgb[110:], "bottom": rgb[:120]}[side]
    if long:
        strip = np.full((cut.shape[0], cut.shape[0] * 15, 3), 200, dtype=np.uint8)
        place = slice(0, cut.shape[1]) if side == "left" else slice(-cut.shape[1], None)
        strip[:, place] = cut
        cut = strip
    with _guard(quiet, models) as guard:
        verdict = _output(guard, cut, Picture(png(rgb)), Picture(png(rgb[:, ::-1]), Role.MASK))
    assert not [reason for reason in verdict.reasons if reason.mode == "fault"]
    for signal in verdict.signals:
        for evidence in signal.evidence:
            assert evidence.box is not None
            x, y, wide, high = evidence.box
            assert x >= 0 <= y
            assert x + wide <= cut.shape[1]
            assert y + high <= cut.shape[0]


@pytest.mark.parametrize("size", [(1, 1), (3, 60), (640, 32)])
@pytest.mark.parametrize("colour", [0, 255])
def test_pictures_without_content(quiet: Settings, models: ModelStore, size: tuple[int, int], colour: int) -> None:
    rgb = np.full((size[1], size[0], 3), colour, dtype=np.uint8)
    with _guard(quiet, models) as guard:
        assert _output(guard, rgb, Picture(png(rgb))).action is Action.ALLOW
        request = GenerationRequest(uploads=(Picture(png(rgb)), Picture(png(rgb), Role.MASK)), operation="edit")
        assert guard.check_inputs_sync(request).action is Action.ALLOW


def _closed(verdict: Verdict, detector: str) -> None:
    assert verdict.action is Action.HOLD
    assert f"detector {detector} failed" in str([reason.message for reason in verdict.reasons])


@pytest.mark.parametrize("fault", ["another key", "a changed record", "an older record"])
def test_a_gallery_that_cannot_be_opened_closes_every_verdict(quiet: Settings, models: ModelStore, fault: str) -> None:
    store = PeopleStore(quiet)
    store.enrol(templates(1), person_id="p")
    if fault == "another key":
        (quiet.data_dir / "keys" / "templates.key").write_bytes(bytes(32))
    else:
        sealed = b"x" * 200 if fault == "a changed record" else store._vault.seal(templates(1).tobytes(), "p")
        with store._database.write() as connection:
            connection.exec_driver_sql("update people set templates = ?", (sealed,))
    store.close()
    with _guard(quiet, models) as guard:
        _closed(_output(guard, np.zeros((9, 9, 3), dtype=np.uint8)), "vision.faces")


def test_a_store_that_is_no_database_is_a_typed_error(quiet: Settings) -> None:
    PeopleStore(quiet).close()
    for file in quiet.data_dir.glob("*.sqlite3*"):
        file.write_bytes(b"no database at all" * 400)
    with pytest.raises(RecordError):
        PeopleStore(quiet)


def _changed_cache(tmp_path: Path, file: str) -> Settings:
    """A weights folder that links to the real one, but for one file of SFace."""
    real = load_settings().models_dir
    folder = tmp_path / "models"
    for path in real.glob("*/*"):
        copy = folder / path.relative_to(real)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(path)
    swapped = folder / SFACE / file
    data = bytearray(swapped.read_bytes())
    data[-1] ^= 1
    swapped.unlink()
    swapped.write_bytes(bytes(data))
    return load_settings(data_dir=tmp_path / "data", models_dir=folder, record=False)


def test_a_swapped_network_is_an_error_at_start(tmp_path: Path) -> None:
    settings = _changed_cache(tmp_path, "sface.onnx")
    with pytest.raises(ModelIntegrityError, match=r"sface\.onnx"):
        _guard(settings, ModelStore(settings))


def test_a_swapped_centre_closes_the_verdict(tmp_path: Path, models: ModelStore) -> None:
    settings = _changed_cache(tmp_path, CENTRE)
    rgb = portrait(models, "astronaut.png")
    with _guard(settings, ModelStore(settings)) as guard:
        _closed(_output(guard, rgb, Picture(png(rgb))), "vision.faces")


class _NoNumbers:
    """The pulled weights, but templates are not finite."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        self._broken = TinyModels(
            sface=constant_net("data", [3, 112, 112], [np.full(128, np.nan, dtype=np.float32)]),
            yunet=constant_net("input", [3, 640, 640], _answers({32: [(5, 5, 0.95)]})),
        )

    def session(self, name: str) -> object:
        return self._broken.session(name) if name in (SFACE, "yunet") else self._models.session(name)

    def __getattr__(self, name: str) -> object:
        return getattr(self._models, name)


def test_templates_that_are_no_numbers_close_the_verdict(quiet: Settings, models: ModelStore) -> None:
    rgb = np.full((640, 640, 3), 90, dtype=np.uint8)
    broken: ModelProvider = _NoNumbers(models)  # type: ignore[assignment]
    with _guard(quiet, broken) as guard:
        verdict = _output(guard, rgb, Picture(png(rgb)))
    _closed(verdict, "vision.faces")
    assert verdict.signals == ()


def test_an_animation_whose_last_frame_shows_the_person(quiet: Settings, models: ModelStore) -> None:
    rgb = portrait(models, "astronaut.png")
    frames = [Image.new("RGB", (512, 512), colour) for colour in ("grey", "white", "black")] + [Image.fromarray(rgb)]
    data = io.BytesIO()
    frames[0].save(data, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    with _guard(quiet, models) as guard:
        request = GenerationRequest(uploads=(Picture(png(rgb)),), operation="edit")
        verdict = guard.check_outputs_sync(request, [data.getvalue()])[0]
    same = next(signal for signal in verdict.signals if signal.name == "person.same_as_input")
    assert (same.score > 0.9, same.evidence[0].frame) == (True, 3)
