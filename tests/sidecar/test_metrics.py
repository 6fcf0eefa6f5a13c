from __future__ import annotations

from guardrail.sidecar.metrics import Metrics
from guardrail.signals import Coverage
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, PolicyRef, Reason, Verdict


def test_two_apps_do_not_share_counts() -> None:
    one, other = Metrics(), Metrics()
    one.request("/v1/images/generations", 200, 0.1)
    assert b'guardrail_requests_total{route="/v1/images/generations",status="200"} 1.0' in one.exposition()
    assert b"guardrail_requests_total{" not in other.exposition()


def test_faults_are_counted_apart() -> None:
    metrics = Metrics()
    for mode in ("enforce", "fault"):
        reason = Reason("a", Action.BLOCK, "m", mode=mode)
        metrics.verdict(Verdict(Stage.OUTPUT, Action.BLOCK, (reason,), (), Coverage(), PolicyRef("p", "1", "")))
    text = metrics.exposition().decode()
    assert 'guardrail_verdicts_total{action="block",stage="output"} 2.0' in text
    assert 'guardrail_faults_total{stage="output"} 1.0' in text


def test_pictures_upstream_and_gauges() -> None:
    metrics = Metrics()
    metrics.pictures(3, 1)
    metrics.upstream(404, 0.2)
    metrics.in_flight(5)
    metrics.ready(True)
    text = metrics.exposition().decode()
    assert 'guardrail_pictures_total{fate="withheld"} 1.0' in text
    assert 'guardrail_upstream_seconds_count{status="4xx"} 1.0' in text
    assert "guardrail_in_flight 5.0" in text
    assert "guardrail_ready 1.0" in text
