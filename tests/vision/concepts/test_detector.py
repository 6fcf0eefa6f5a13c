"""Concepts in pictures: by words, by examples, with look-alikes, over frames; and never silently inactive."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from guardrail.errors import ConfigurationError, ModelIntegrityError, ModelMissingError, PolicyError
from guardrail.inference.clip import ClipEncoder
from guardrail.signals import RGB, Calibration, Concept, ExampleFile, Shown, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector
from guardrail.vision.concepts import picture_detectors
from guardrail.vision.concepts.detector import PictureConceptsDetector
from guardrail.vision.concepts.embedding import encoder
from guardrail.vision.concepts.learned import NEUTRAL
from tests.vision.concepts.tiny import SPEC, clip, context, plain, png, shown, write_clip

RED, BLUE, YELLOW, GREY = (plain(*colour) for colour in ((230, 20, 20), (20, 20, 230), (230, 220, 20), (128,) * 3))


def _concept(name: str = "red", **fields: object) -> Concept:
    return Concept(name, (), shown=Shown(like=("something red",), **fields))  # type: ignore[arg-type]


def _scores(folder: Path, concept: Concept, *frames: RGB) -> dict[str, float]:
    detector = PictureConceptsDetector(context(folder), clip(folder), [concept])
    return best_scores(detector.detect(shown(*frames)).signals)


def test_words_find_what_they_say(tmp_path: Path) -> None:
    assert _scores(tmp_path, _concept(), RED)["concept.red"] > 0.9
    for other in (BLUE, GREY):
        assert _scores(tmp_path, _concept(), other).get("concept.red", 0.0) < 0.1


def test_look_alikes_are_told_apart(tmp_path: Path) -> None:
    lime = _concept("lime", unlike=("a red thing",))
    lime = replace(lime, shown=replace(lime.shown or Shown(()), like=("a yellow thing",)))
    orange = plain(230, 90, 20)
    bare = replace(lime, shown=replace(lime.shown or Shown(()), unlike=()))
    assert _scores(tmp_path, bare, orange)["concept.lime"] > _scores(tmp_path, lime, orange).get("concept.lime", 0.0)
    assert _scores(tmp_path, lime, YELLOW)["concept.lime"] > 0.9


def test_the_worst_frame_counts_and_is_named(tmp_path: Path) -> None:
    detector = PictureConceptsDetector(context(tmp_path), clip(tmp_path), [_concept()])
    found = detector.detect(shown(BLUE, GREY, RED))
    (signal,) = found.signals
    assert [item.frame for item in signal.evidence] == [2]
    assert "vision.concepts:frames=3" in found.coverage.inspected


def test_it_conforms_with_example_pictures(tmp_path: Path) -> None:
    files = []
    for name, rgb in (("red", RED), ("yellow", YELLOW)):
        path = tmp_path / f"{name}.png"
        path.write_bytes(png(rgb))
        files.append(ExampleFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest()))
    place = context(tmp_path)
    seen = Shown(like=(), examples=(files[0],), unlike_examples=(files[1],))
    scale = Calibration(place.models.digest("colours"), seen.digest, 0.9, 40.0)
    seen = replace(seen, calibration=scale)
    check_detector(PictureConceptsDetector(place, encoder(place), [Concept("red", (), shown=seen)]))


@pytest.mark.parametrize("fault", ["none", "clip", "words", "file", "same"])
def test_a_scale_that_does_not_fit_is_refused(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(png(RED))
    example = ExampleFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    place = context(tmp_path)
    seen = Shown(like=("a red thing",), examples=(example,))
    if fault == "same":
        seen = replace(seen, unlike=("a red thing",))
    digest = "sha256:other" if fault == "clip" else place.models.digest("colours")
    scale = Calibration(digest, "sha256:other" if fault == "words" else seen.digest, 0.0, 1.0)
    seen = replace(seen, calibration=None if fault == "none" else scale)
    if fault == "file":
        path.write_bytes(png(BLUE))
    concept = Concept("red", (), file="p.yaml", line=7, shown=seen)
    with pytest.raises(PolicyError) as caught:
        PictureConceptsDetector(place, encoder(place), [concept])
    assert caught.value.line == 7
    if fault in ("none", "clip", "words"):
        assert "calibrate-concepts" in caught.value.advice


def test_without_a_clip_a_policy_that_acts_on_it_does_not_start(tmp_path: Path) -> None:
    bare, concept = context(tmp_path, clip=None), _concept()
    with pytest.raises(PolicyError) as caught:
        picture_detectors(bare, [concept], [concept])
    assert "models export" in caught.value.advice
    (stand_in,) = picture_detectors(bare, [concept], [])
    assert stand_in.detect(shown(RED)).coverage.skipped[0].what == "vision.concepts"
    assert picture_detectors(bare, [Concept("words", ("a red thing",))], []) == ()
    with pytest.raises(ConfigurationError, match="clip_people"):
        picture_detectors(context(tmp_path, clip=None, clip_people=True), [], [])
    with pytest.raises(ConfigurationError, match="no CLIP"):
        encoder(bare)


def test_one_embedding_serves_every_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = context(tmp_path, clip_people=True)
    found = picture_detectors(place, [_concept()], [])
    calls: list[int] = []
    real = ClipEncoder.images

    def counted(self: ClipEncoder, pictures: list[object]) -> object:
        calls.append(len(pictures))
        return real(self, pictures)  # type: ignore[arg-type]

    monkeypatch.setattr(ClipEncoder, "images", counted)
    subject = shown(RED, BLUE)
    assert len(found) == 2
    for detector in found:
        detector.detect(subject)
    assert calls == [2]


def test_a_clip_that_answers_otherwise_than_at_its_export_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "manifests", fault=3.0)
    with pytest.raises(ModelIntegrityError, match="exported"):
        clip(tmp_path)


def test_a_clip_that_answers_nan_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "manifests", fault=float("nan"))
    with pytest.raises(ModelIntegrityError):
        clip(tmp_path)


def test_a_model_that_is_no_clip_or_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no file"):
        encoder(context(tmp_path, clip="open-nsfw"))
    (tmp_path / "manifests" / "colours" / "image.onnx").unlink()
    with pytest.raises(ModelMissingError) as caught:
        clip(tmp_path)
    assert "models export" in caught.value.advice


def test_words_are_cut_to_the_context_and_neutral_words_are_many(tmp_path: Path) -> None:
    found = clip(tmp_path)
    assert found.texts(["red " * 100]).shape == (1, SPEC.vector)
    assert found.texts([]).shape == (0, SPEC.vector)
    assert found.images([]).shape == (0, SPEC.vector)
    assert len(NEUTRAL) == len(set(NEUTRAL)) >= 16


def test_words_are_embedded_once_and_not_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = clip(tmp_path)
    first = found.texts(["red", "blue", "red"])
    monkeypatch.setattr(found, "_models", None)
    with pytest.raises(AttributeError):
        found.texts(["green"])
    monkeypatch.undo()
    assert (found.texts(["blue", "red"]) == first[[1, 0]]).all()
    monkeypatch.setattr("guardrail.inference.clip.MAX_KNOWN", 3)
    for text in ("green", "white", "black"):
        found.texts([text, "red"])
    assert len(found._known) <= 3


def test_uploads_are_looked_at_too(tmp_path: Path) -> None:
    detector = PictureConceptsDetector(context(tmp_path), clip(tmp_path), [_concept()])
    assert best_scores(detector.detect(shown(RED, stage=Stage.INPUT)).signals)["concept.red"] > 0.9
