import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.detector import Detector, DetectorContext
from guardrail.errors import ConfigurationError, ModelMissingError, PolicyError
from guardrail.evaluation import Row, judge, read_set, run
from guardrail.guard import Guard
from guardrail.records import FingerprintStore
from guardrail.settings import Settings, load_settings
from guardrail.signals import Coverage, Detection, Picture, Subject
from guardrail.taxonomy import Stage
from guardrail.testing import drawn_picture
from guardrail.text.lexicon import LexiconDetector
from guardrail.verdict import Action
from guardrail.vision.decode import decode
from guardrail.vision.fingerprint import pdq
from tests.evaluation.parts import write_policy, write_set
from tests.records.parts import all_bytes

_TEXTS = ("a nude woman", "a red barn", "a naked man", "snow on a hill")


@pytest.fixture
def guard(tmp_path: Path, settings: Settings, bare_context: DetectorContext) -> Iterator[Guard]:
    policy = write_policy(tmp_path)
    with Guard.from_policy(policy, settings=settings, detectors=[LexiconDetector(bare_context)]) as guard:
        yield guard


def _row(text: str | None, image: Path | None = None, stage: Stage = Stage.PROMPT) -> Row:
    return Row("1", text, image, stage, "allow", "", "set.jsonl:7")


def test_a_row_s_result_has_the_documented_shape(guard: Guard) -> None:
    found = judge(guard, _row("a nude woman")).to_dict()
    assert list(found) == ["id", "action", "rules", "signals", "ms"]
    assert (found["id"], found["action"], found["rules"]) == ("1", "block", ["nude"])
    assert found["signals"]["sexual.nudity"] >= 0.9
    assert found["ms"] > 0


def test_a_prompt_over_the_limit_is_a_result_and_not_the_end(guard: Guard) -> None:
    found = judge(guard, _row("a" * (guard.settings.limits.max_prompt_chars + 1)))
    assert (found.action, found.rules, found.judged) == (Action.BLOCK, ("refused-prompt",), False)
    hostile = judge(guard, _row("a nude \ud800 woman"))
    assert (hostile.action, hostile.judged) == (Action.BLOCK, True)


def test_a_broken_picture_is_stopped_and_told_apart(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG nothing")
    for stage in (Stage.INPUT, Stage.OUTPUT):
        found = judge(guard, _row(None, path, stage))
        assert (found.stopped, found.judged, found.rules) == (True, False, ("unreadable-picture",))
    both = judge(guard, _row("a nude woman", path, Stage.INPUT))
    assert (both.action, both.judged, both.rules) == (Action.BLOCK, True, ("nude", "unreadable-picture"))


def test_a_picture_over_the_limit_is_not_read_to_its_end(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(2**40)
    found = judge(guard, _row(None, path, Stage.OUTPUT))
    assert (found.stopped, found.judged) == (True, False)


def test_a_picture_that_went_away_is_named_by_its_row(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"set\.jsonl:7: the picture cannot be read"):
        judge(guard, _row(None, tmp_path / "gone.png", Stage.OUTPUT))


def test_the_prompt_of_an_output_does_not_stop_the_picture(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(drawn_picture("a"))
    assert judge(guard, _row("a nude woman", path, Stage.OUTPUT)).action is Action.ALLOW
    assert judge(guard, _row("a nude woman", path, Stage.INPUT)).action is Action.BLOCK


class _Failing:
    name = "test.failing"
    emits = frozenset({"sexual.nudity"})
    stages = frozenset({Stage.PROMPT})
    models: tuple[str, ...] = ()
    cost_ms = 0.1

    def detect(self, subject: Subject) -> Detection:
        if "barn" in (subject.prompt.text if subject.prompt else ""):
            raise ValueError
        return Detection(coverage=Coverage((self.name,)))

    def examples(self) -> tuple[()]:
        return ()


def test_a_fault_of_the_guard_does_not_pass_for_a_catch(
    tmp_path: Path, settings: Settings, bare_context: DetectorContext
) -> None:
    detectors: list[Detector] = [LexiconDetector(bare_context), _Failing()]
    with Guard.from_policy(write_policy(tmp_path), settings=settings, detectors=detectors) as guard:
        fault, fine = judge(guard, _row("a red barn")), judge(guard, _row("a red house"))
    assert (fault.stopped, fault.judged, fault.rules) == (True, False, ("guard-error",))
    assert (fine.action, fine.judged) == (Action.ALLOW, True)


@pytest.mark.models
def test_nothing_is_recorded_and_listed_pictures_act(tmp_path: Path, settings: Settings) -> None:
    picture = drawn_picture("b")
    (tmp_path / "b.png").write_bytes(picture)
    store = FingerprintStore(settings)
    store.add(pdq(decode(Picture(picture), settings.limits))[0])
    store.close()
    rows = read_set(
        write_set(tmp_path / "set.jsonl", {"id": "1", "text": "a nude woman"}, {"id": "2", "image": "b.png"})
    )
    found = list(run(rows, write_policy(tmp_path), settings, jobs=1))
    assert [(item.id, item.action) for item in found] == [("1", Action.BLOCK), ("2", Action.BLOCK)]
    assert found[1].rules == ("listed-picture",)
    stored = all_bytes(settings.data_dir)
    assert b"fp-" in stored
    assert b"sexual.nudity" not in stored


def _many(folder: Path, count: int) -> list[Row]:
    rows = ({"id": str(number), "text": _TEXTS[number % len(_TEXTS)]} for number in range(count))
    return read_set(write_set(folder / "set.jsonl", *rows))


@pytest.mark.models
@pytest.mark.slow
def test_several_processes_give_the_same_results_in_order(tmp_path: Path, settings: Settings) -> None:
    rows, policy = _many(tmp_path, 100), write_policy(tmp_path)
    alone, spread = (list(run(rows, policy, settings, jobs=jobs)) for jobs in (1, 2))
    assert [item.id for item in spread] == [row.id for row in rows]
    assert [(item.action, item.rules, item.signals) for item in spread] == [
        (item.action, item.rules, item.signals) for item in alone
    ]
    assert {item.stopped for item in alone} == {True, False}


@pytest.mark.models
@pytest.mark.slow
def test_a_dead_process_is_a_typed_error_and_an_ended_run_leaves_none(tmp_path: Path, settings: Settings) -> None:
    rows, policy = _many(tmp_path, 20_000), write_policy(tmp_path)
    results = run(rows, policy, settings, jobs=2)
    next(results)
    victim = multiprocessing.active_children()[0].pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(ConfigurationError, match="a process that judges rows died"):
        list(results)
    results = run(rows, policy, settings, jobs=2)
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_guard_that_does_not_start_says_why_from_every_process(tmp_path: Path, settings: Settings) -> None:
    rows = _many(tmp_path, 100)
    with pytest.raises(PolicyError, match="nosuch"):
        list(run(rows, "nosuch", settings, jobs=2))
    bare = load_settings(data_dir=tmp_path / "data", models_dir=tmp_path / "none", offline=True)
    with pytest.raises(ModelMissingError) as missing:
        list(run(rows, "default", bare, jobs=2))
    assert "guardrail models pull" in missing.value.advice
