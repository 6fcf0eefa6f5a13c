"""Who is meant: public figures, private people, and everybody who is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.detector import DetectorContext
from guardrail.signals import Detection, GenerationRequest, Picture, Prompt, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing.conformance import check_detector
from guardrail.text.gazetteer import reference
from guardrail.text.people import PeopleDetector

DETECTOR = PeopleDetector()


def _detect(text: str, *, uploads: int = 0, detector: PeopleDetector = DETECTOR) -> Detection:
    prompt = Prompt(text)
    request = GenerationRequest((prompt,), uploads=(Picture(b""),) * uploads)
    return detector.detect(Subject(Stage.PROMPT, request, prompt=prompt))


def _scores(text: str, uploads: int = 0) -> dict[str, float]:
    return best_scores(_detect(text, uploads=uploads).signals)


def test_conforms() -> None:
    check_detector(DETECTOR)


@pytest.mark.parametrize(
    "text",
    [
        "Emma Watson riding a bicycle",
        "EMMA WATSON RIDING A BICYCLE",
        "emma watson, studio light",
        "photo of Beyonce on a stage",
        "statue of Tom Hanks in a park",
        "a man resembling Tom Hanks",
        "a portrait in the style of Tom Hanks",
        "T. Swift on a horse",
        "Tom-Hanks waving",
        "tom_hanks waving",
        "@tomhanks_official waving",
        "a cat, <lora:tomHanks_v3:0.7>",
        "a cat, embedding:tom_hanks",
        "Т\u043em Hanks waving",
        "t0m h4nk5 waving",
        "Tоm\u200b Hanks waving",
        "泰勒·斯威夫特 在海边",
    ],
)
def test_public_figures(text: str) -> None:
    found = _scores(text)
    assert found["person.named"] >= 0.9
    assert found["person.public_figure"] >= 0.9


@pytest.mark.parametrize(
    "text",
    [
        "a harbour in the style of Claude Monet",
        "a painting by Claude Monet",
        "sunflowers, Van Gogh style",
        "sunflowers in Van Gogh's thick brushstrokes",
        "poster of a Tom Hanks film on a wall, Tom Hanks film",
        "the Mona Lisa in a gallery",
        "Sherlock Holmes and a hound",
        "Harry Potter with an owl",
        "a beef wellington on a plate",
        "a rose garden in paris",
        "a trump card on green felt",
        "a woman in a red coat",
    ],
)
def test_styles_works_characters_and_things(text: str) -> None:
    found = _scores(text)
    assert found.get("person.named", 0.0) < 0.5
    assert found.get("person.private", 0.0) < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "my ex on a sofa",
        "my neighbour Laura in a garden",
        "the girl in this photo",
        "a girl I work with",
        "make it look exactly like her",
        "mi vecina en bikini",
        "meine Nachbarin am Strand",
    ],
)
def test_relations(text: str) -> None:
    assert _scores(text)["person.private"] >= 0.7


def test_an_unlisted_full_name() -> None:
    assert _scores("a photo of Laura Quexbergh in a garden")["person.private"] >= 0.7
    assert _scores("Laura Quexbergh")["person.private"] >= 0.5
    assert _scores("a landscape by Laura Quexbergh").get("person.private", 0.0) < 0.5


def test_pronouns_count_with_an_upload() -> None:
    assert "person.private" not in _scores("give her a hat")
    assert _scores("give her a hat", uploads=1)["person.private"] >= 0.5


def test_eras_are_kept_apart() -> None:
    found = [signal for signal in _detect("Tom Hanks and Napoleon Bonaparte").signals if signal.name == "person.named"]
    eras = {item.detail.get("era", "living") for signal in found for item in signal.evidence}
    assert len(found) == 2
    assert eras == {"living", "historical"}


def test_evidence_is_opaque() -> None:
    text = "a photo of Tom Hanks"
    evidence = next(item for signal in _detect(text).signals for item in signal.evidence)
    assert evidence.ref == reference("Tom Hanks")
    assert evidence.span is not None
    assert text[slice(*evidence.span)] == "Tom Hanks"
    assert "hanks" not in str(evidence.to_dict()).lower()


def test_an_operators_own_names(bare_context: DetectorContext) -> None:
    context = DetectorContext(
        bare_context.settings, bare_context.models, bare_context.registry, {"people": ["Qiri Vantablom"]}
    )
    assert _detect("qiri vantablom waves", detector=PeopleDetector(context)).signals
    assert not _detect("qiri vantablom waves").signals


def test_the_negative_prompt_names_nobody() -> None:
    prompt = Prompt("a harbour", negative="Tom Hanks")
    assert DETECTOR.detect(Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt)).signals == ()


@settings(deadline=None, max_examples=150)
@given(st.text(st.characters(exclude_categories=()), max_size=40), st.text("tom hanksTHé-_<>:lora@. 40", max_size=40))
def test_any_string(first: str, second: str) -> None:
    text = first + second
    for signal in _detect(text).signals:
        for item in signal.evidence:
            assert item.span is not None
            assert 0 <= item.span[0] <= item.span[1] <= len(text)
