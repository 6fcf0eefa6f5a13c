from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from guardrail import hamming
from guardrail.detector import DetectorContext
from guardrail.errors import ModelMissingError, PictureError
from guardrail.settings import Limits, Settings
from guardrail.signals import Detection, FingerprintList, GenerationRequest, Picture, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector, drawn_picture, picture_subject
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import CANARY_ID, TURNS, FingerprintDetector, canary, canary_png, listing, pdq
from guardrail.vision.fingerprint import detector as detector_module
from guardrail.vision.fingerprint.detector import Views
from guardrail.vision.pyramid import Level
from tests.vision.files import encoded
from tests.vision.tiny import Listed, TinyModels


def _list(*pictures: bytes, distance: int = 31, version: int = 1) -> FingerprintList:
    hashes = [pdq(decode(Picture(data), Limits()))[0] for data in pictures]
    ids = tuple(f"entry-{index}" for index in range(len(hashes)))
    return FingerprintList(version, ids, np.stack(hashes), np.full(len(hashes), distance, dtype=np.int64))


def _detector(listed: FingerprintList | None = None) -> FingerprintDetector:
    return FingerprintDetector(DetectorContext(Settings(), TinyModels(), Listed(fingerprints=listed)))


def _look(detector: FingerprintDetector, data: bytes) -> Detection:
    return detector.detect(picture_subject(data))


def _opened(data: bytes) -> Image.Image:
    return Image.fromarray(decode(Picture(data), Limits()).frames[0].rgb)


PICTURE = drawn_picture("b", size=(700, 500))


def test_hash_is_32_bytes_with_its_quality() -> None:
    code, quality = pdq(decode(Picture(PICTURE), Limits()))
    assert code.shape == (32,)
    assert code.dtype == np.uint8
    assert 0 <= quality <= 100


@pytest.mark.parametrize("turn", [None, *Image.Transpose])
def test_a_listed_picture_is_found_in_every_turn(turn: Image.Transpose | None) -> None:
    picture = _opened(PICTURE)
    if turn is not None:
        picture = picture.transpose(turn)
    found = _look(_detector(_list(PICTURE)), encoded(picture, "JPEG", quality=60)).signals[0]
    assert found.score == 1.0
    assert found.evidence[0].ref == "entry-0"
    assert found.evidence[0].view in TURNS


def test_views_are_named_rightly() -> None:
    detector = _detector(_list(PICTURE))
    named = {
        turn: _look(detector, encoded(_opened(PICTURE).transpose(turn), "PNG")).signals[0].evidence[0].view
        for turn in (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM)
    }
    assert named == {
        Image.Transpose.ROTATE_180: "turn180",
        Image.Transpose.FLIP_LEFT_RIGHT: "mirror",
        Image.Transpose.FLIP_TOP_BOTTOM: "flip",
    }


@pytest.mark.parametrize("size", [(350, 250), (1400, 1000), (700, 400)])
def test_a_listed_picture_is_found_at_other_sizes(size: tuple[int, int]) -> None:
    resized = encoded(_opened(PICTURE).resize(size), "WEBP", quality=80)
    assert best_scores(_look(_detector(_list(PICTURE)), resized).signals)["fingerprint.match"] == 1.0


def test_other_pictures_do_not_match() -> None:
    detector = _detector(_list(*(drawn_picture(f"listed {index}") for index in range(50))))
    for index in range(20):
        assert not _look(detector, drawn_picture(f"other {index}")).signals


def test_each_entry_has_its_own_distance() -> None:
    code, _ = pdq(decode(Picture(PICTURE), Limits()))
    far = code.copy()
    far[:3] ^= 0xFF
    scores = {}
    for distance in (24, 23, 14, 13):
        listed = FingerprintList(1, ("far",), far[None], np.array([distance], dtype=np.int64))
        scores[distance] = best_scores(_look(_detector(listed), PICTURE).signals).get("fingerprint.match")
    assert scores[24] == 1.0
    assert scores[23] == pytest.approx(0.45)
    assert scores[14] is None
    assert scores[13] is None


def test_a_change_of_the_list_acts_at_once() -> None:
    registry = Listed()
    detector = FingerprintDetector(DetectorContext(Settings(), TinyModels(), registry))
    assert not _look(detector, PICTURE).signals
    registry._fingerprints = _list(PICTURE, version=2)
    assert _look(detector, PICTURE).signals[0].score == 1.0


def test_one_frame_is_enough() -> None:
    frames = [_opened(drawn_picture(f"frame {index}", size=(300, 200))) for index in range(3)]
    listed = _list(encoded(frames[2], "PNG"))
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    found = _look(_detector(listed), data)
    assert found.signals[0].evidence[0].frame == 2
    assert "vision.fingerprint:frames=3" in found.coverage.inspected
    assert "vision.fingerprint:listed=1" in found.coverage.inspected


def test_a_picture_with_few_features_matches_within_half_the_distance() -> None:
    data = drawn_picture("listed")
    code, quality = pdq(decode(Picture(data), Limits()))
    assert 10 <= quality < 50
    off = code.copy()
    off[:1] ^= 0xFF
    for distance, score in ((16, 1.0), (14, pytest.approx(0.45))):
        listed = FingerprintList(1, ("near",), off[None], np.array([distance], dtype=np.int64))
        found = _look(_detector(listed), data)
        assert found.signals[0].score == score
        assert "half the distance" in found.coverage.skipped[0].why


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (64, 64), (900, 60)])
def test_a_featureless_picture_is_told(size: tuple[int, int]) -> None:
    found = _look(_detector(_list(PICTURE)), encoded(Image.new("RGB", size, (9, 9, 9)), "PNG"))
    assert not found.signals
    assert found.coverage.skipped[0].what == "vision.fingerprint"


def _inert(why: str, *others: bytes) -> FingerprintList:
    plain = _list(PICTURE, *others)
    return replace(plain, inert={"entry-0": why}, banks=("partner",) * len(plain.ids))


@pytest.mark.parametrize("why", ["rollout", "quarantine"])
def test_an_entry_that_does_not_act_only_flags(why: str) -> None:
    found = _look(_detector(_inert(why)), PICTURE).signals[0]
    assert found.score == 0.4
    assert found.evidence[0].detail == {"distance": "0", "bank": "partner", "inert": why}


def test_an_entry_that_acts_goes_before_one_that_does_not() -> None:
    found = _look(_detector(_inert("rollout", PICTURE)), PICTURE).signals[0]
    assert found.score == 1.0
    assert [(item.ref, item.detail.get("inert")) for item in found.evidence] == [
        ("entry-1", None),
        ("entry-0", "rollout"),
    ]


def test_a_long_list_is_indexed_and_answers_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    near = _list(PICTURE, drawn_picture("other", size=(700, 500)))
    random = np.random.default_rng(1).integers(0, 256, (300, 32), dtype=np.uint8)
    far = pdq(decode(Picture(PICTURE), Limits()))[0].copy()
    far[:6] ^= 0xFF
    listed = FingerprintList(
        1,
        (*near.ids, *(f"random-{number}" for number in range(300)), "far"),
        np.concatenate([near.hashes, random, far[None]]),
        np.array([31, 31, *[31] * 300, 60], dtype=np.int64),
        inert={"entry-1": "rollout"},
    )
    scanned = _look(_detector(listed), PICTURE)
    monkeypatch.setattr(hamming, "FEW", 10)
    indexed = _look(_detector(listed), PICTURE)
    assert indexed.signals == scanned.signals
    # of entries with a distance beyond the index's reach nothing is missed either: they are compared one by one
    alone = replace(listed, hashes=np.concatenate([random[:2], random, far[None]]))
    found = _look(_detector(alone), PICTURE).signals[0]
    assert (found.score, found.evidence[0].ref) == (1.0, "far")


def test_what_nobody_listed_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, bool]] = []
    kept = detector_module.views_of

    def heard(level: Level, *, framed: bool = True, lettered: bool = True) -> Views:
        asked.append((framed, lettered))
        return kept(level, framed=framed, lettered=lettered)

    monkeypatch.setattr(detector_module, "views_of", heard)
    plain = _list(PICTURE)
    doubled = replace(plain, hashes=plain.hashes[[0, 0]], distances=plain.distances[[0, 0]], owners=np.array([0, 0]))
    for listed in (None, plain, doubled):
        _look(_detector(listed), PICTURE)
    assert asked == [(False, False), (True, False), (True, True)]


def test_floods_are_told_of_matches_alone() -> None:
    noted: list[str] = []
    listed = replace(_list(PICTURE), note=lambda entry, hash: noted.append(entry))
    _look(_detector(listed), drawn_picture("other"))
    _look(_detector(listed), canary_png())
    assert noted == []
    _look(_detector(listed), PICTURE)
    assert noted == ["entry-0"]


def test_the_test_card_is_always_listed() -> None:
    found = _look(_detector(), canary_png()).signals[0]
    assert found.evidence[0].ref == CANARY_ID
    assert np.array_equal(np.asarray(_opened(canary_png())), canary())


def test_conforms() -> None:
    check_detector(_detector())


def test_of_an_animation_every_frame_is_listed_and_looked_up() -> None:
    flat = Image.new("RGB", (480, 360), "white")
    frames = [flat, *(_opened(drawn_picture(seed, size=(480, 360))) for seed in ("b", "c"))]
    moving = decode(Picture(encoded(flat, "PNG", save_all=True, append_images=frames[1:])), Limits())
    hashes = listing(moving)
    owners, limits = np.zeros(len(hashes), np.int64), np.full(len(hashes), 40)
    listed = FingerprintList(1, ("moving",), hashes, limits, owners=owners)
    for frame in frames[1:]:
        still = _look(_detector(listed), encoded(frame, "JPEG"))
        assert still.signals[0].evidence[0].ref == "moving"
        mixed = encoded(flat, "PNG", save_all=True, append_images=[flat.copy(), frame])
        found = _look(_detector(listed), mixed)
        assert found.signals[0].score == 1.0
        assert "a flat frame has no telling fingerprint" in {item.why for item in found.coverage.skipped}
    with pytest.raises(PictureError, match="too little detail"):
        listing(decode(Picture(encoded(flat, "PNG")), Limits()))


def test_needs_no_weights() -> None:
    with pytest.raises(ModelMissingError):
        TinyModels().session("anything")
    assert FingerprintDetector.models == ()
    subject = Subject(Stage.INPUT, GenerationRequest(), picture=decode(Picture(PICTURE), Limits()))
    assert _detector().detect(subject).coverage.inspected
