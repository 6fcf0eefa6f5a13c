"""What every detector must keep to, as one function that a detector's own tests call.

::

    def test_conforms() -> None:
        check_detector(MyDetector(context))
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from guardrail.detector import Detector, Example, check_shape
from guardrail.errors import DetectorError
from guardrail.signals import Detection, Signal, best_scores

_SCORE_TOLERANCE = 1e-4


def check_detector(detector: Detector) -> None:
    """Hold `detector` to the rules, with its own examples.

    It must declare itself rightly, bring an example that raises and one that does not, keep the scores its examples
    promise, raise only what it declares, keep spans and boxes inside the subject, say what it inspected, give the
    same answer twice and from several threads, and keep no text in evidence or coverage.

    Raises:
        DetectorError: which rule is broken, and by what.
    """
    check_shape(detector)
    examples = tuple(detector.examples())
    if not any(example.at_least for example in examples) or not any(example.below for example in examples):
        raise DetectorError(f"{detector.name} must bring an example that raises a signal and one that does not")
    for position, example in enumerate(examples):
        label = f"{detector.name}, example {position + 1} ({example.note or 'no note'})"
        if example.subject.stage not in detector.stages:
            raise DetectorError(f"{label}: stage {example.subject.stage.value} is not declared")
        detection = detector.detect(replace(example.subject, memo={}))
        _check_scores(label, example, detection)
        _check_detection(label, detector, example, detection)
        _check_repeatable(label, detector, example, detection)


def _check_scores(label: str, example: Example, detection: Detection) -> None:
    scores = best_scores(detection.signals)
    for name, low in example.at_least.items():
        if scores.get(name, 0.0) < low:
            raise DetectorError(f"{label}: {name} is {scores.get(name, 0.0):.3f}, promised at least {low:g}")
    for name, high in example.below.items():
        if scores.get(name, 0.0) >= high:
            raise DetectorError(f"{label}: {name} is {scores.get(name, 0.0):.3f}, promised below {high:g}")


def _check_detection(label: str, detector: Detector, example: Example, detection: Detection) -> None:
    if not detection.coverage.inspected and not detection.coverage.skipped:
        raise DetectorError(f"{label}: coverage says nothing")
    for found in detection.signals:
        if found.name not in detector.emits:
            raise DetectorError(f"{label}: raised {found.name}, which it does not declare")
        if found.detector != detector.name:
            raise DetectorError(f"{label}: a signal names {found.detector!r} as its detector")
        _check_evidence(label, example, found)


def _check_evidence(label: str, example: Example, found: Signal) -> None:
    prompt, picture = example.subject.prompt, example.subject.picture
    for evidence in found.evidence:
        if evidence.span is not None and prompt is not None:
            source = prompt.negative if evidence.where == "negative" else prompt.text
            start, end = evidence.span
            if not 0 <= start <= end <= len(source):
                raise DetectorError(f"{label}: {found.name} has the span {evidence.span}, outside the text")
        if evidence.box is not None and picture is not None:
            x, y, width, height = evidence.box
            if x < 0 or y < 0 or x + width > picture.width or y + height > picture.height:
                raise DetectorError(f"{label}: {found.name} has the box {evidence.box}, outside the picture")
        words = " ".join((*evidence.detail.keys(), *evidence.detail.values()))
        if prompt is not None and len(prompt.text) > 12 and prompt.text in words:
            raise DetectorError(f"{label}: {found.name} keeps the prompt in its evidence")


def _check_repeatable(label: str, detector: Detector, example: Example, first: Detection) -> None:
    def again() -> dict[str, float]:
        return best_scores(detector.detect(replace(example.subject, memo={})).signals)

    expected = best_scores(first.signals)
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = [pool.submit(again) for _ in range(4)]
        for run in runs:
            scores = run.result()
            same = scores.keys() == expected.keys() and all(
                abs(scores[name] - expected[name]) <= _SCORE_TOLERANCE for name in scores
            )
            if not same:
                raise DetectorError(f"{label}: a second look gave other scores")
