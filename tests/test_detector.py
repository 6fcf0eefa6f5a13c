from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint

import pytest

from guardrail import detector as detector_module
from guardrail.detector import Detector, DetectorContext, Example, build, check_shape, discover
from guardrail.errors import DetectorError
from guardrail.signals import Detection, Subject
from guardrail.taxonomy import Stage


@dataclass
class _Shaped:
    name: str = "test.shaped"
    stages: frozenset[Stage] = frozenset({Stage.PROMPT})
    emits: frozenset[str] = frozenset({"sexual.nudity"})
    cost_ms: float = 0.1
    models: tuple[str, ...] = ()
    kept: list[Subject] = field(default_factory=list)

    def detect(self, subject: Subject) -> Detection:
        return Detection()

    def examples(self) -> Sequence[Example]:
        return ()


def test_the_shape_is_checked_and_a_misspelt_signal_gets_the_right_name() -> None:
    check_shape(_Shaped())
    with pytest.raises(DetectorError, match=r"did you mean 'sexual\.nudity'"):
        check_shape(_Shaped(emits=frozenset({"sexual.nuditty"})))
    for broken in (
        _Shaped(name="Undotted"),
        _Shaped(emits=frozenset()),
        _Shaped(stages=frozenset()),
        _Shaped(cost_ms=0),
        _Shaped(emits=frozenset({"zzz"})),
    ):
        with pytest.raises(DetectorError):
            check_shape(broken)
    with pytest.raises(DetectorError, match="protocol"):
        check_shape(object())  # type: ignore[arg-type]


def test_every_registered_detector_is_found_by_entry_point() -> None:
    found = discover()
    assert {"text.lexicon", "text.people", "vision.nudity", "vision.faces", "vision.fingerprint"} <= set(found)


def _points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(detector_module, "entry_points", lambda group: points)


def test_a_plugin_that_does_not_load_or_shares_a_name_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    group = detector_module.ENTRY_POINT_GROUP
    good = EntryPoint("test.shaped", "tests.test_detector:_Shaped", group)
    _points(monkeypatch, good, good)
    with pytest.raises(DetectorError, match="two packages"):
        discover()
    _points(monkeypatch, EntryPoint("test.gone", "tests.nowhere:Gone", group))
    with pytest.raises(DetectorError, match="does not load"):
        discover()


def test_build_sorts_by_cost_and_names_what_is_not_registered(
    monkeypatch: pytest.MonkeyPatch, bare_context: DetectorContext
) -> None:
    def quick(context: DetectorContext) -> Detector:
        return _Shaped(name="test.quick", cost_ms=0.01)

    def slow(context: DetectorContext) -> Detector:
        return _Shaped(name="test.slow", cost_ms=5)

    monkeypatch.setattr(detector_module, "discover", lambda: {"slow": slow, "quick": quick})
    assert [item.name for item in build(bare_context)] == ["test.quick", "test.slow"]
    assert [item.name for item in build(bare_context, only=frozenset({"slow"}))] == ["test.slow"]
    with pytest.raises(DetectorError, match="no detector named 'gone'"):
        build(bare_context, only=frozenset({"gone"}))
