from __future__ import annotations

import pytest

from guardrail.vision.containers.header import ADVICE, refuse


@pytest.mark.parametrize("reason", ADVICE)
def test_every_reason_says_what_to_do(reason: str) -> None:
    error = refuse(reason, "a message")
    assert error.reason == reason
    assert len(error.advice.split()) > 3
