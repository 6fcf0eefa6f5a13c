"""Operator lists act on prompts: from the data folder through the registry to signals."""

from __future__ import annotations

import pytest

from guardrail.detector import DetectorContext
from guardrail.errors import RecordError
from guardrail.inference import ModelStore
from guardrail.records import LocalRegistry, NamesStore, registry
from guardrail.settings import Settings
from guardrail.signals import ListedName, best_scores
from guardrail.testing import prompt_subject
from guardrail.text.listed import ListedNames
from guardrail.text.people import PeopleDetector


@pytest.fixture
def store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> NamesStore:
    monkeypatch.setattr(registry, "POLL_S", 0.0)
    return NamesStore(settings)


@pytest.fixture
def local(settings: Settings, store: NamesStore) -> LocalRegistry:
    return LocalRegistry(settings)


@pytest.fixture
def people(settings: Settings, local: LocalRegistry) -> PeopleDetector:
    return PeopleDetector(DetectorContext(settings, ModelStore(settings), local, {}))


def _scores(people: PeopleDetector, text: str) -> dict[str, float]:
    return best_scores(people.detect(prompt_subject(text)).signals)


def test_a_listed_name_acts_at_once_and_until_it_is_removed(store: NamesStore, people: PeopleDetector) -> None:
    text = "quarrywick ottoline on a balcony, ottoline quarrywick"
    assert _scores(people, text).get("person.named", 0.0) == 0.0
    (id,) = store.add([ListedName("", "Ottoline Quarrywick")])
    found = people.detect(prompt_subject(text))
    assert best_scores(found.signals)["person.named"] >= 0.9
    assert {item.ref for signal in found.signals for item in signal.evidence} == {id}
    assert "uarrywick" not in repr(found)
    store.remove(id)
    assert _scores(people, text).get("person.named", 0.0) == 0.0


@pytest.mark.parametrize(
    ("kind", "protected", "raised"),
    [
        ("private", False, {"person.named", "person.private"}),
        ("public", False, {"person.named", "person.public_figure"}),
        ("staff", False, {"person.named"}),
        ("staff", True, {"person.named", "person.protected"}),
    ],
)
def test_an_entry_says_which_signals_it_raises(
    store: NamesStore, people: PeopleDetector, kind: str, protected: bool, raised: set[str]
) -> None:
    store.add([ListedName("", "Ottoline Quarrywick", kind=kind, protected=protected)])
    scores = _scores(people, "ottoline quarrywick on a balcony")
    assert {name for name, score in scores.items() if score >= 0.5} == raised


@pytest.mark.parametrize(
    "text",
    [
        "Ottoline Quarrywick",
        "0tt0line Quarryw1ck at dusk",
        "o t t o l i n e  q u a r r y w i c k",
        "Ottolnie Quarrywick in a garden",
        "O. Quarrywick in a garden",
        "a portrait, <lora:ottolineQuarrywick:0.8>",
        "@ottolinequarrywick by the sea",
        "otti quarry by the sea",
    ],
)
def test_a_listed_name_is_found_in_disguise_and_by_its_aliases(
    store: NamesStore, people: PeopleDetector, text: str
) -> None:
    store.add([ListedName("", "Ottoline Quarrywick", ("Otti Quarry",))])
    assert _scores(people, text)["person.named"] >= 0.5


def test_detectors_on_one_registry_share_a_compiled_list(local: LocalRegistry, store: NamesStore) -> None:
    store.add([ListedName("", "Ottoline Quarrywick")])
    first, second = ListedNames.shared(local), ListedNames.shared(local)
    assert first is second
    held = first.current()
    assert held is not None
    assert second.current() is held


def test_a_list_that_cannot_be_read_fails_the_detector(
    people: PeopleDetector, local: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RecordError("unreadable")

    monkeypatch.setattr(local, "names", broken)
    with pytest.raises(RecordError):
        people.detect(prompt_subject("a harbour at dusk"))
