from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from guardrail.policy import json_schema, load_policy
from guardrail.policy.expression import DERIVED, FACTS
from guardrail.policy.schema import (
    CaseRequest,
    CaseSpec,
    ListSpec,
    PolicyFile,
    RelaxSpec,
    RequireSpec,
    RuleSpec,
    ShownSpec,
    SuiteFile,
)
from guardrail.taxonomy import SIGNALS

ROOT = Path(__file__).resolve().parents[2]
MODELS = (PolicyFile, ShownSpec, RuleSpec, ListSpec, RelaxSpec, RequireSpec, CaseSpec, CaseRequest, SuiteFile)
REFERENCE = (ROOT / "docs" / "POLICY.md").read_text(encoding="utf-8")


def test_the_published_schema_is_the_current_one() -> None:
    published = json.loads((ROOT / "policies" / "schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(), "run: guardrail policy schema --out policies/schema.json"


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_described_and_documented(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        assert info.description, name
        assert f"`{info.alias or name}`" in REFERENCE, f"{model.__name__}.{name} is not in docs/POLICY.md"


def test_every_name_of_the_language_is_documented() -> None:
    for name in (*FACTS, *DERIVED, *SIGNALS):
        assert f"`{name}`" in REFERENCE, name


def test_every_shipped_rule_is_documented_and_no_other() -> None:
    shipped = {item.id for name in ("floor", "default", "strict", "art") for item in load_policy(name).rules}
    table = REFERENCE.split("## Shipped rules", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, flags=re.MULTILINE)) == shipped
