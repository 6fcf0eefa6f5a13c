"""Helpers for tests of guardrail and of what is built on it: conformance kit, builders, stub generator."""

from guardrail.testing.builders import drawn_picture, picture_subject, prompt_subject, signal
from guardrail.testing.conformance import check_detector

__all__ = ["check_detector", "drawn_picture", "picture_subject", "prompt_subject", "signal"]
