import inspect

import pytest

from guardrail import errors
from guardrail.errors import BlockedError, GuardrailError, PictureError, PolicyError, UpstreamError

_CLASSES = [item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, GuardrailError)]


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_and_carries_a_code_and_advice(kind: type[GuardrailError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    assert kind.code
    assert kind.advice.endswith(".")


def test_policy_error_says_where_and_what_was_meant() -> None:
    error = PolicyError("unknown signal 'sexual.nuditty'", file="p.yaml", line=7, nearest="sexual.nudity")
    assert str(error) == "p.yaml:7: unknown signal 'sexual.nuditty' (did you mean 'sexual.nudity'?)"
    assert "policy lint" in error.diagnostics()
    assert str(PolicyError("empty", file="p.yaml")) == "p.yaml: empty"
    assert str(PolicyError("empty")) == "empty"


def test_advice_can_be_given_with_the_error() -> None:
    assert PictureError("no", reason="empty", advice="Send one.").diagnostics() == "no\n  what to do: Send one."
    assert UpstreamError("gone", status=504, retry=True).status == 504
    assert BlockedError("no", []).verdicts == ()
