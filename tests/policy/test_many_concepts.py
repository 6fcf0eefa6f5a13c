from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import PolicyError
from guardrail.policy import load_policy
from guardrail.policy.layers import MAX_CONCEPTS
from tests.policy.parts import write


def test_more_concepts_than_the_limit_are_an_error_at_the_first_too_many(tmp_path: Path) -> None:
    lines = [f"  c{number}: {{like: [a lantern of kind {number}]}}" for number in range(MAX_CONCEPTS + 1)]
    with pytest.raises(PolicyError, match=f"may have {MAX_CONCEPTS} concepts"):
        load_policy(write(tmp_path, "extends: default\nconcepts:\n" + "\n".join(lines) + "\n"))
