"""What a policy file may say. The JSON Schema for editors is made from these models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
ConceptName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Sentence = Annotated[str, Field(min_length=3, max_length=500, pattern=r"\w")]
Words = Annotated[str, Field(min_length=2, max_length=200, pattern=r"\w")]
Template = Annotated[str, Field(max_length=100, pattern=r"^[^{}]*\{\}[^{}]*$")]
StageName = Literal["prompt", "input", "output"]
ActionName = Literal["allow", "flag", "transform", "hold", "block"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListSpec(_Strict):
    """A list of terms: inline, the first column of a CSV file beside the policy, or both."""

    terms: list[str] = Field(default_factory=list, description="words or phrases, matched on word boundaries")
    file: str | None = Field(None, description="CSV file, relative to the policy file; its first column is read")


class ShownSpec(_Strict):
    """How a meaning looks in pictures, in words and example pictures; needs a CLIP (`guardrail models export`)."""

    like: list[Words] = Field(default_factory=list, max_length=64, description="what such a picture shows")
    unlike: list[Words] = Field(default_factory=list, max_length=64, description="what looks alike and is not meant")
    examples: list[str] = Field(default_factory=list, max_length=64, description="pictures, relative to this file")
    unlike_examples: list[str] = Field(default_factory=list, max_length=64, description="pictures of look-alikes")
    templates: list[Template] = Field(
        default_factory=list, max_length=32, description="sentences around the words, averaged; seven by default"
    )
    false_alarms: float = Field(
        0.01, gt=0, lt=0.5, description="share of benign pictures that may reach 0.5, for calibrate-concepts"
    )

    @model_validator(mode="after")
    def _meant(self) -> ShownSpec:
        if not self.like and not self.examples:
            raise ValueError("`shown` needs `like` (words) or `examples` (pictures)")
        return self


class ConceptSpec(_Strict):
    """A meaning, given by example sentences in any of sixteen languages; raises the signal `concept.<name>`."""

    like: list[Sentence] = Field(default_factory=list, max_length=64, description="prompts that mean it")
    unlike: list[Sentence] = Field(
        default_factory=list, max_length=64, description="prompts that look alike and do not mean it"
    )
    shown: ShownSpec | None = Field(None, description="how it looks in uploads and outputs")

    @model_validator(mode="after")
    def _meant(self) -> ConceptSpec:
        if not self.like and (self.unlike or self.shown is None):
            raise ValueError("a concept needs `like` (prompts that mean it) or `shown` (pictures)")
        return self


class CalibratedSpec(_Strict):
    """The scale of one picture concept."""

    model_config = ConfigDict(allow_inf_nan=False)

    definition: str = Field(description="digest of words and pictures that it holds for")
    false_alarms: float = Field(description="share of benign pictures that was asked for")
    pictures: int = Field(description="benign pictures looked at")
    alarms: int = Field(description="of those, how many score 0.5 or more")
    even: float = Field(description="standardised nearness that scores 0.5")
    slope: float = Field(gt=0, description="logits per unit of it")
    words: tuple[float, Annotated[float, Field(gt=0)]] = Field((0.0, 1.0), description="mean and spread of nearness")
    examples: tuple[float, Annotated[float, Field(gt=0)]] = Field((0.0, 1.0), description="the same, to examples")


class CalibrationFile(_Strict):
    """What `guardrail policy calibrate-concepts` writes."""

    schema_: Literal["guardrail/calibration/v1"] = Field(alias="schema", description="version of this format")
    clip: str = Field(description="digest of the image tower that it holds for")
    concepts: dict[ConceptName, CalibratedSpec] = Field(description="by name")


class RuleSpec(_Strict):
    """One rule: when its conditions hold, its action is asked for."""

    id: Identifier = Field(description="unique name of the rule")
    stage: StageName | list[StageName] = Field(description="where the rule looks")
    when: str | None = Field(None, description="CEL expression over signal names and request facts")
    pattern: str | None = Field(None, description="regular expression over the prompt's text")
    patterns: list[str] = Field(default_factory=list, description="regular expressions, any of which may match")
    term_list: Identifier | None = Field(
        None, alias="list", description="name of a list whose terms may occur in the prompt"
    )
    engine: Literal["re2", "regex"] = Field("re2", description="re2: linear time; regex: fuzzy, lookaround, timeout")
    then: ActionName = Field(description="what the rule asks for")
    hide: Literal["blur", "pixelate"] | None = Field(
        None, description="with `then: transform` at stage output: how the regions of the rule's signals are hidden"
    )
    message: str = Field(min_length=1, max_length=300, description="why, in words for a reviewer")
    severity: Literal["low", "medium", "high", "critical"] = Field("medium", description="for reports only")
    mode: Literal["enforce", "shadow"] = Field("enforce", description="shadow: evaluated and recorded, does not act")
    rollout: int = Field(100, ge=0, le=100, strict=True, description="percent of subjects the rule acts on")
    feed: Identifier | None = Field(None, description="takedown bank in which outputs that the rule blocks are listed")


class RelaxSpec(_Strict):
    """Permission to loosen or drop one inherited rule above the floor."""

    rule: Identifier = Field(description="id of the inherited rule")
    because: str = Field(min_length=10, max_length=500, description="the reason, for the next reader")


class RequireSpec(_Strict):
    """Detectors that must have inspected a subject before it may be released."""

    prompt: list[str] = Field(default_factory=list, description="detector names")
    input: list[str] = Field(default_factory=list, description="detector names")
    output: list[str] = Field(default_factory=list, description="detector names")


class CaseRequest(_Strict):
    """Request facts of a policy test."""

    operation: str = Field("generate", description="generate, edit, variation or moderate")
    uploads: int = Field(0, ge=0, le=20, strict=True, description="number of uploaded pictures")
    tenant: str = Field("", description="tenant name")
    prompt: str = Field("", description="text for pattern and list rules")
    params: dict[str, str] = Field(default_factory=dict, description="other request fields")


class CaseSpec(_Strict):
    """Given these signals, this action is expected."""

    name: str = Field(min_length=1, description="what the test shows")
    stage: StageName = Field("prompt", description="stage that is judged")
    signals: dict[str, float] = Field(default_factory=dict, description="signal name -> score at this stage")
    prior: dict[StageName, dict[str, float]] = Field(default_factory=dict, description="signals of earlier stages")
    evidence: dict[str, dict[str, str]] = Field(default_factory=dict, description="signal name -> evidence detail")
    request: CaseRequest = Field(default_factory=CaseRequest, description="request facts")
    skipped: list[str] = Field(default_factory=list, max_length=100, description="what was not inspected")
    expect: ActionName = Field(description="the action the policy must decide")
    rule: Identifier | None = Field(None, description="id of a rule that must have asked for it")


class PolicyFile(_Strict):
    """A policy file (`schema: guardrail/v1`)."""

    schema_: Literal["guardrail/v1"] = Field(alias="schema", description="version of this format")
    name: Identifier = Field(description="name of the policy")
    version: str = Field(min_length=1, description="version of the policy, for records")
    description: str = Field("", description="what the policy is for")
    extends: str | list[str] = Field(default_factory=list, description="shipped names or relative paths")
    lists: dict[Identifier, ListSpec] = Field(default_factory=dict, description="named lists of terms")
    concepts: dict[ConceptName, ConceptSpec] = Field(
        default_factory=dict, description="meanings given by example; rules read them as concept.<name>"
    )
    calibration: str | None = Field(
        None, description="file of calibrate-concepts with the scale of picture concepts, relative to this file"
    )
    rules: list[RuleSpec] = Field(
        default_factory=list, max_length=2_000, description="all are looked at; the gravest wins"
    )
    relax: list[RelaxSpec] = Field(default_factory=list, description="inherited rules that this policy loosens")
    require: RequireSpec = Field(default_factory=RequireSpec, description="detectors that must have inspected")
    on_error: Literal["hold", "block"] | None = Field(None, description="what a failure of the guard gives")
    on_partial: Literal["drop", "refuse"] | None = Field(None, description="n > 1 with bad pictures")
    tests: list[CaseSpec] = Field(default_factory=list, description="policy tests, run by `guardrail policy test`")


class SuiteFile(_Strict):
    """A file of policy tests beside a policy."""

    policy: str = Field(description="shipped name, or path relative to this file")
    tests: list[CaseSpec] = Field(min_length=1, description="the tests")


def json_schema() -> dict[str, Any]:
    """JSON Schema of a policy file, for editors."""
    schema = PolicyFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "guardrail policy"
    return schema
