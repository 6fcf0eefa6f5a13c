from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from guardrail.signals import Coverage, Detection, GenerationRequest, Picture, Prompt, Subject
from guardrail.taxonomy import Stage
from guardrail.text.memory import Remembered, digest, lazy, remembered


class Counting:
    def __init__(self) -> None:
        self.detections: Remembered[Detection] = Remembered()
        self.looks = 0

    @remembered
    def detect(self, subject: Subject) -> Detection:
        self.looks += 1
        return Detection(coverage=Coverage((f"looked={self.looks}",)))


def _asked(text: str, uploads: Sequence[Picture] = ()) -> Subject:
    prompt = Prompt(text)
    return Subject(Stage.PROMPT, GenerationRequest((prompt,), tuple(uploads)), prompt=prompt)


def test_a_prompt_is_looked_at_once_with_and_once_without_uploads() -> None:
    detector = Counting()
    first = detector.detect(_asked("a red lantern"))
    assert detector.detect(_asked("a red lantern")) == first
    assert detector.looks == 1
    detector.detect(_asked("a red lantern", [Picture(b"x")]))
    detector.detect(_asked("a red barn"))
    assert detector.looks == 3


def test_pictures_are_always_looked_at() -> None:
    detector = Counting()
    for _ in range(2):
        detector.detect(Subject(Stage.INPUT, GenerationRequest()))
    assert detector.looks == 2


def test_memory_gives_back_what_was_made_and_holds_no_text() -> None:
    memory: Remembered[float] = Remembered()
    made: list[str] = []

    def make(text: str) -> float:
        made.append(text)
        return 0.5

    assert [memory.recall("a lantern in the snow", make) for _ in range(3)] == [0.5] * 3
    assert made == ["a lantern in the snow"]
    assert "lantern" not in repr(vars(memory))


def test_a_digest_says_nothing_about_the_text() -> None:
    assert digest("a lantern") == digest("a lantern") != digest("a lantern ")
    assert hashlib.blake2b(b"a lantern", digest_size=16).digest() != digest("a lantern")


def test_memory_takes_lone_surrogates_and_tells_them_apart() -> None:
    memory: Remembered[str] = Remembered()
    assert memory.recall("\ud800", repr) != memory.recall("\ud801", repr)


def test_memory_forgets_the_longest_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.text.memory._SIZE", 3)
    memory: Remembered[str] = Remembered()
    made: list[str] = []

    def make(text: str) -> str:
        made.append(text)
        return text

    for text in ("0", "1", "2", "0", "3", "0", "2", "3"):
        memory.recall(text, make)
    assert made == ["0", "1", "2", "3"]
    memory.recall("1", make)
    assert made[-1] == "1"


def test_a_lazy_attribute_is_made_once_and_when_it_is_read() -> None:
    made: list[int] = []

    class Thing:
        @lazy
        def size(self) -> int:
            """How large."""
            made.append(1)
            return 3

    thing = Thing()
    assert made == []
    assert (thing.size, thing.size) == (3, 3)
    assert made == [1]
    assert isinstance(Thing.size, lazy)
