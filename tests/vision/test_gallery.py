from __future__ import annotations

import threading

import numpy as np
import pytest

from guardrail.signals import FaceGallery
from guardrail.vision import gallery
from guardrail.vision.gallery import FaceIndex, GalleryMemory
from guardrail.vision.nets import Tensor


def people(count: int, seed: int = 1, alike: float = 0.2) -> FaceGallery:
    """Synthetic templates of `count` people, two of whom resemble each other by 0.04 on average, or more."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, 128), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    shared = random.standard_normal(128, dtype=np.float32)
    rows += alike * shared / np.linalg.norm(shared)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return FaceGallery(1, tuple(map(str, range(count))), rows)


def again(vector: Tensor, cosine: float, random: np.random.Generator) -> Tensor:
    """A template that resembles `vector` by `cosine` and nobody else."""
    other = random.standard_normal(128, dtype=np.float32)
    other -= (other @ vector) * vector
    mixed: Tensor = cosine * vector + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    return mixed.astype(np.float32)


def test_a_small_gallery_is_searched_exactly() -> None:
    found = people(500)
    index = FaceIndex(found)
    assert index.exact
    assert index.sketch_bytes == 0
    random = np.random.default_rng(2)
    for row in (0, 250, 499):
        cosine, who = index.best(again(found.vectors[row], 0.6, random))
        assert who == str(row)
        assert cosine == pytest.approx(0.6, abs=1e-3)


def test_a_large_gallery_loses_nobody_who_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "FLAT_ROWS", 50_000)
    found = people(120_000)
    index = FaceIndex(found)
    assert not index.exact
    assert index.sketch_bytes == 120_000 * 32
    random = np.random.default_rng(3)
    rows = random.integers(0, 120_000, 200)
    hits = [index.best(again(found.vectors[row], 0.55, random))[1] == str(row) for row in rows]
    assert np.mean(hits) >= 0.99


def test_people_who_are_all_rather_alike_are_told_apart() -> None:
    found = people(60_000, alike=1.5)
    index = FaceIndex(found)
    random = np.random.default_rng(4)
    probes = [again(found.vectors[row], 0.9, random) for row in random.integers(0, 60_000, 100)]
    hits = [index.best(probe)[0] >= float((found.vectors @ probe).max()) - 1e-6 for probe in probes]
    assert np.mean(hits) >= 0.99


def test_a_template_itself_is_always_found_when_sketches_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "FLAT_ROWS", 10)
    found = people(3_000)
    index = FaceIndex(found)
    for row in range(0, 3_000, 97):
        assert index.best(found.vectors[row])[1] == str(row)
        assert index.best(-found.vectors[row])[1] != str(row)


def test_an_index_is_made_once_a_gallery() -> None:
    memory, first = GalleryMemory(), people(5)
    made: list[FaceIndex] = []
    threads = [threading.Thread(target=lambda: made.append(memory.index(first))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(index) for index in made}) == 1
    assert memory.index(people(6)) is not made[0]
