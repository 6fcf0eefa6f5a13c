"""Prometheus metrics: counts and durations, never content. Every label has a small, closed set of values."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from guardrail.verdict import Verdict

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "guardrail_requests", "Requests answered", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "guardrail_request_seconds", "Whole requests", ("route",), registry=self._registry, buckets=_BUCKETS
        )
        self._verdicts = Counter("guardrail_verdicts", "Verdicts", ("stage", "action"), registry=self._registry)
        self._faults = Counter(
            "guardrail_faults", "Verdicts closed by a failure of the guard", ("stage",), registry=self._registry
        )
        self._judging = Histogram(
            "guardrail_stage_seconds", "One verdict", ("stage",), registry=self._registry, buckets=_BUCKETS
        )
        self._upstream = Histogram(
            "guardrail_upstream_seconds", "The generator", ("status",), registry=self._registry, buckets=_BUCKETS
        )
        self._pictures = Counter("guardrail_pictures", "Pictures judged", ("fate",), registry=self._registry)
        self._in_flight = Gauge("guardrail_in_flight", "Requests under way", registry=self._registry)
        self._ready = Gauge("guardrail_ready", "1 when every canary passed", registry=self._registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request; `route` is a listed path or "closed"."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def verdict(self, verdict: Verdict) -> None:
        """One verdict of the guard."""
        self._verdicts.labels(verdict.stage.value, verdict.action.value).inc()
        self._judging.labels(verdict.stage.value).observe(verdict.timings_ms.get("total", 0.0) / 1000)
        if verdict.fault:
            self._faults.labels(verdict.stage.value).inc()

    def upstream(self, status: int, seconds: float) -> None:
        """One whole answer of the generator."""
        self._upstream.labels(f"{status // 100}xx").observe(seconds)

    def pictures(self, released: int, withheld: int) -> None:
        """Pictures of one answer."""
        self._pictures.labels("released").inc(released)
        self._pictures.labels("withheld").inc(withheld)

    def in_flight(self, count: int) -> None:
        """Requests under way now."""
        self._in_flight.set(count)

    def ready(self, state: bool) -> None:
        """Whether the service is ready."""
        self._ready.set(float(state))

    def exposition(self) -> bytes:
        """The text format that Prometheus reads."""
        return generate_latest(self._registry)
