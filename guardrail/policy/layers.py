"""Layers of policy files: each may add and tighten; loosening needs `relax` by name, and never reaches the floor."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from guardrail.errors import PolicyError
from guardrail.policy.expression import closest
from guardrail.policy.schema import ListSpec, PolicyFile, RuleSpec
from guardrail.policy.shown import calibrations, shown
from guardrail.policy.source import locate, parse, read_file, read_text
from guardrail.policy.tree import Document
from guardrail.signals import Concept
from guardrail.taxonomy import Stage
from guardrail.verdict import Action

FLOOR = "floor"
MAX_FILES = 64
MAX_CONCEPTS = 64
MAX_LIST_BYTES = 16_000_000
_CONDITIONS = ("when", "pattern", "patterns", "term_list", "engine")
_RESERVED = frozenset({"coverage", "unreadable-picture"})
_RESERVED_PREFIX = "guard-"


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule with the place it is written at."""

    spec: RuleSpec
    document: Document
    position: int

    def line(self, *names: str) -> int | None:
        """Line of a field of the rule, or of the rule."""
        return self.document.line(("rules", self.position, *names))

    def error(self, message: str, *names: str, nearest: str | None = None, advice: str | None = None) -> PolicyError:
        """The error to raise about a field of the rule."""
        return PolicyError(message, file=self.document.file, line=self.line(*names), nearest=nearest, advice=advice)


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A rule that was loosened or dropped, and why."""

    rule: str
    because: str
    file: str
    line: int | None


@dataclass(slots=True)
class Layers:
    """What has been gathered from a policy and the policies it extends.

    Attributes:
        locked: ids of the floor's rules, which no file gathered here may name.
    """

    locked: frozenset[str] = frozenset()
    rules: dict[str, Entry] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    list_lines: dict[str, tuple[str | None, int | None]] = field(default_factory=dict)
    relaxed: dict[str, Relaxed] = field(default_factory=dict)
    concepts: dict[str, Concept] = field(default_factory=dict)
    requires: dict[Stage, set[str]] = field(default_factory=lambda: {stage: set() for stage in Stage})
    on_error: Action = Action.HOLD
    on_partial: Literal["drop", "refuse"] = "drop"
    laid: list[Path] = field(default_factory=list)


def gather(path: Path, layers: Layers, chain: tuple[Path, ...] = ()) -> PolicyFile:
    """Lay `path` and everything it extends onto `layers`, parents first.

    Raises:
        PolicyError: a file does not load, names the floor's rules, loosens without `relax`, or the files extend each
            other in a circle or without end.
    """
    if path in chain:
        raise PolicyError("policies extend each other in a circle", file=str(path))
    if len(layers.laid) >= MAX_FILES:
        raise PolicyError(f"a policy may extend {MAX_FILES} files in all", file=str(path))
    again = path in layers.laid
    layers.laid.append(path)
    document = read_file(path)
    parsed = parse(PolicyFile, document)
    floor = path == locate(FLOOR)
    if parsed.name == FLOOR and not floor:
        raise PolicyError(f"only the shipped floor is called {FLOOR!r}", file=str(path), line=document.line(("name",)))
    for name in [parsed.extends] if isinstance(parsed.extends, str) else parsed.extends:
        gather(locate(name, path, document.line(("extends",))), layers, (*chain, path))
    if floor and layers.locked:
        return parsed
    if again:
        _restore_rules(parsed, document, layers)
        return parsed
    _lay_lists(parsed, path, document, layers)
    _lay_concepts(parsed, path, document, layers)
    _lay_rules(parsed, document, layers)
    for stage in Stage:
        layers.requires[stage] |= set(getattr(parsed.require, stage.value))
    if parsed.on_error is not None:
        layers.on_error = max(layers.on_error, Action(parsed.on_error), key=lambda action: action.severity)
    if parsed.on_partial == "refuse":
        layers.on_partial = "refuse"
    return parsed


def stages(spec: RuleSpec) -> frozenset[Stage]:
    """The stages a rule looks at."""
    return frozenset(Stage(name) for name in ([spec.stage] if isinstance(spec.stage, str) else spec.stage))


def tightens(before: RuleSpec, after: RuleSpec) -> bool:
    """Whether `after` has the same conditions as `before` and acts no milder anywhere."""
    if any(getattr(before, name) != getattr(after, name) for name in _CONDITIONS):
        return False
    return (
        stages(before) <= stages(after)
        and Action(after.then) >= Action(before.then)
        and (before.mode == "shadow" or after.mode == "enforce")
        and after.rollout >= before.rollout
    )


def _lay_rules(parsed: PolicyFile, document: Document, layers: Layers) -> None:
    relax = _relaxations(parsed, document, layers)
    own: set[str] = set()
    for position, rule in enumerate(parsed.rules):
        entry = Entry(rule, document, position)
        _check_id(entry, own, layers.locked)
        own.add(rule.id)
        inherited = layers.rules.get(rule.id)
        if inherited is not None and rule.id not in relax and not tightens(inherited.spec, rule):
            raise entry.error(
                f"rule {rule.id!r} loosens the inherited rule of that name",
                "id",
                advice="Keep its conditions and only raise its action, or list it under `relax` with a reason.",
            )
        layers.rules[rule.id] = entry
    layers.relaxed |= relax
    for name in relax.keys() - own:
        del layers.rules[name]


def _restore_rules(parsed: PolicyFile, document: Document, layers: Layers) -> None:
    """A parent that two branches share: what one branch relaxed is back in force for the other."""
    for position, rule in enumerate(parsed.rules):
        entry = Entry(rule, document, position)
        present = layers.rules.get(rule.id)
        if present is None or tightens(present.spec, rule):
            layers.rules[rule.id] = entry
            layers.relaxed.pop(rule.id, None)
        elif not tightens(rule, present.spec):
            raise entry.error(f"two of the extended policies disagree about rule {rule.id!r}", "id")


def _relaxations(parsed: PolicyFile, document: Document, layers: Layers) -> Mapping[str, Relaxed]:
    found: dict[str, Relaxed] = {}
    for position, item in enumerate(parsed.relax):
        line = document.line(("relax", position, "rule"))
        if item.rule in layers.locked:
            raise PolicyError(
                f"rule {item.rule!r} is part of the floor and cannot be relaxed", file=document.file, line=line
            )
        if item.rule not in layers.rules:
            nearest = closest(item.rule, layers.rules)
            raise PolicyError(
                f"no inherited rule is called {item.rule!r}", file=document.file, line=line, nearest=nearest
            )
        found[item.rule] = Relaxed(item.rule, item.because, document.file or "", line)
    return found


def _check_id(entry: Entry, own: set[str], locked: frozenset[str]) -> None:
    name = entry.spec.id
    if name in own:
        raise entry.error(f"two rules are called {name!r}", "id")
    if name in locked:
        raise entry.error(f"rule {name!r} is part of the floor and cannot be redefined", "id")
    if name.startswith(_RESERVED_PREFIX) or name in _RESERVED:
        raise entry.error(f"the name {name!r} is reserved for the guard itself", "id")


def _lay_lists(parsed: PolicyFile, path: Path, document: Document, layers: Layers) -> None:
    for name, spec in parsed.lists.items():
        line = document.line(("lists", name))
        terms = [*spec.terms, *_file_terms(spec, path, document.file, line)]
        layers.lists[name] = [*layers.lists.get(name, []), *terms]
        layers.list_lines[name] = (document.file, line)


def _lay_concepts(parsed: PolicyFile, path: Path, document: Document, layers: Layers) -> None:
    """Concepts are not redefined by another layer: that would change what inherited rules catch.

    A layer may calibrate those of its own and those it inherits.
    """
    for name, spec in parsed.concepts.items():
        line = document.line(("concepts", name))
        if name in layers.concepts:
            raise PolicyError(
                f"the concept {name!r} is inherited",
                file=document.file,
                line=line,
                advice="Give this one another name, and a rule of its own.",
            )
        if len(layers.concepts) >= MAX_CONCEPTS:
            raise PolicyError(f"a policy may have {MAX_CONCEPTS} concepts", file=document.file, line=line)
        seen = shown(spec.shown, path, document.file, line) if spec.shown else None
        layers.concepts[name] = Concept(name, tuple(spec.like), tuple(spec.unlike), document.file, line, seen)
    for name, scale in calibrations(parsed.calibration, path, document.line(("calibration",))).items():
        concept = layers.concepts.get(name)
        if concept is not None and concept.shown is not None:
            layers.concepts[name] = replace(concept, shown=replace(concept.shown, calibration=scale))


def _file_terms(spec: ListSpec, path: Path, file: str | None, line: int | None) -> list[str]:
    if spec.file is None:
        return []
    try:
        text = read_text(path.parent / spec.file, MAX_LIST_BYTES)
        return [row[0] for row in csv.reader(io.StringIO(text, newline="")) if row and row[0].strip()]
    except (PolicyError, ValueError, csv.Error) as error:
        raise PolicyError(f"list file {spec.file!r:.80} cannot be read", file=file, line=line) from error
