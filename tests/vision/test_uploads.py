from __future__ import annotations

import numpy as np
import pytest

from guardrail.settings import Limits
from guardrail.signals import Picture, Role
from guardrail.vision import uploads
from guardrail.vision.decode import decode
from guardrail.vision.pyramid import levels
from guardrail.vision.seen import Seen, see
from guardrail.vision.uploads import MAX_ENTRIES, UploadMemory
from tests.vision.files import drawing, encoded
from tests.vision.test_detect import _answers
from tests.vision.tiny import TinyModels, constant_net

PICTURE = Picture(encoded(drawing(size=(640, 640)), "PNG"))


def _memory(faces: int = 1) -> UploadMemory:
    answers = _answers({32: [(1, 2 * column, 0.9) for column in range(faces)]})
    vector = np.ones(128, dtype=np.float32)
    models = TinyModels(
        yunet=constant_net("input", [3, 640, 640], answers), sface=constant_net("data", [3, 112, 112], [vector])
    )
    return UploadMemory(models, Limits())


def test_faces_of_an_upload() -> None:
    found = _memory(2).faces([PICTURE])
    assert found[0].vectors.shape == (2, 128)
    assert not found[0].missing


def test_an_upload_is_read_once() -> None:
    memory = _memory()
    first = memory.faces([PICTURE])[0]
    assert memory.faces([Picture(PICTURE.data)])[0] is first


def test_faces_that_the_check_of_an_upload_found_are_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _memory(2).faces([PICTURE])[0]
    memory = _memory(2)
    pictured = [see(memory._models, level) for level in levels(decode(PICTURE, Limits()))]
    memory.note(PICTURE, pictured)
    with monkeypatch.context() as patched:
        patched.setattr(uploads, "see", None)
        found = memory.faces([PICTURE])[0]
    assert np.array_equal(found.vectors, expected.vectors)
    assert [face.box for face in found.faces] == [face.box for face in expected.faces]
    # what does not fit the upload is not believed
    memory = _memory(2)
    memory.note(PICTURE, [*pictured, *pictured])
    assert len(memory.faces([PICTURE])[0].vectors) == 2
    memory.note(Picture(PICTURE.data, Role.MASK), [])


def test_faces_beyond_those_kept_are_still_told() -> None:
    memory = _memory(2)
    (level,) = levels(decode(PICTURE, Limits()))
    memory.note(PICTURE, [Seen(level, see(memory._models, level).faces, uploads.MAX_FACES, memory._models)])
    assert "18 faces" in memory.faces([PICTURE])[0].missing


def test_old_templates_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "SECONDS", -1.0)
    memory = _memory()
    first = memory.faces([PICTURE])[0]
    assert memory.faces([PICTURE])[0] is not first


def test_only_so_many_uploads_are_remembered() -> None:
    memory = _memory()
    first = memory.faces([PICTURE])[0]
    memory.faces([Picture(encoded(drawing(seed, size=(8, 8)), "PNG")) for seed in range(MAX_ENTRIES)])
    assert memory.faces([PICTURE])[0] is not first


def test_masks_are_left_out_and_refusals_told() -> None:
    found = _memory().faces([Picture(PICTURE.data, Role.MASK), Picture(b"nothing to see")])
    assert len(found) == 1
    assert len(found[0].vectors) == 0
    assert found[0].missing == "an upload was refused: unknown_type"


def test_a_crowd_is_told() -> None:
    answers = _answers({32: [(row, column, 0.9) for row in range(1, 9, 2) for column in range(1, 19, 3)]})
    vector = np.ones(128, dtype=np.float32)
    models = TinyModels(
        yunet=constant_net("input", [3, 640, 640], answers), sface=constant_net("data", [3, 112, 112], [vector])
    )
    found = UploadMemory(models, Limits()).faces([PICTURE])[0]
    assert len(found.vectors) == uploads.MAX_FACES
    assert "24 faces" in found.missing
