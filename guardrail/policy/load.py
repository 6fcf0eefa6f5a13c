"""YAML files -> one compiled policy: inheritance that only tightens, and the floor below everything."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from guardrail.errors import PolicyError
from guardrail.policy.expression import closest, compile_condition
from guardrail.policy.patterns import MAX_PATTERNS, PatternSet, TermList, check_re2, compile_fuzzy
from guardrail.policy.policy import Policy, Rule
from guardrail.policy.schema import ListSpec, PolicyFile, RuleSpec
from guardrail.policy.tree import Document, read
from guardrail.settings import shipped
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, PolicyRef

FLOOR = "floor"
MAX_LAYERS = 16
MAX_LIST_BYTES = 16_000_000
_GUARD_PREFIX = "guard-"

M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class Layers:
    """What has been gathered from a policy and the policies it extends."""

    rules: dict[str, tuple[RuleSpec, Document, int | None]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    relaxed: dict[str, str] = field(default_factory=dict)
    requires: dict[Stage, set[str]] = field(default_factory=lambda: {stage: set() for stage in Stage})
    on_error: Action = Action.HOLD
    on_partial: Literal["drop", "refuse"] = "drop"


def load_policy(source: str | Path, *, extra: Sequence[Path] = ()) -> Policy:
    """Compile a policy.

    Args:
        source: name of a shipped policy ("default"), or path of a YAML file.
        extra: policy files laid on top, in order; like `extends`, they may only tighten unless they relax by name.

    Raises:
        PolicyError: with file, line and, where a name is misspelt, the nearest right one.
    """
    floor, layers = Layers(), Layers()
    _gather(_locate(FLOOR, None), floor)
    locked = frozenset(floor.rules)
    top = _gather(_locate(source, None), layers, locked=locked)
    for path in extra:
        top = _gather(path, layers, locked=locked)
    for stage in Stage:
        layers.requires[stage] |= floor.requires[stage]
    layers.on_error = max(layers.on_error, floor.on_error, key=lambda action: action.severity)
    specs = {**floor.rules, **{name: item for name, item in layers.rules.items() if name not in locked}}
    return _compile(top, specs, floor.lists | layers.lists, layers, locked)


def parse(model: type[M], document: Document) -> M:
    """Validate `document` as `model`.

    Raises:
        PolicyError: at the line of the first fault, with the nearest right field name.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        first = min(error.errors(), key=lambda item: document.line(_path(item["loc"])) or 0)
        path = _path(first["loc"])
        nearest = None
        problem = first["msg"]
        if first["type"] == "extra_forbidden":
            problem = f"no field is called {path[-1]!r} here"
            nearest = _nearest_field(model, path)
        elif first["type"] == "missing":
            problem = f"{path[-1]!r} is missing"
        elif first["type"] == "literal_error":
            problem = f"{first['input']!r} is not one of {first['ctx']['expected']}"
            options = [item.strip(" '") for item in first["ctx"]["expected"].replace(" or ", ",").split(",")]
            nearest = closest(str(first["input"]), options)
        where = ".".join(str(part) for part in path)
        raise PolicyError(
            f"{where}: {problem}", file=document.file, line=document.line(path), nearest=nearest
        ) from error


def read_file(path: Path) -> Document:
    """Read and parse a YAML file.

    Raises:
        PolicyError: it cannot be read or is not the strict YAML of policies.
    """
    try:
        return read(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"cannot be read: {error.__class__.__name__}", file=str(path)) from error


def _gather(
    path: Path, layers: Layers, *, chain: tuple[Path, ...] = (), locked: frozenset[str] = frozenset()
) -> PolicyFile:
    path = path.resolve()
    document = read_file(path)
    if path in chain or len(chain) > MAX_LAYERS:
        raise PolicyError("policies extend each other in a circle", file=str(path))
    parsed = parse(PolicyFile, document)
    if path == _locate(FLOOR, None).resolve():
        locked = frozenset()
    parents = [parsed.extends] if isinstance(parsed.extends, str) else parsed.extends
    for name in parents:
        parent = _locate(name, path, document.line(("extends",)))
        _gather(parent, layers, chain=(*chain, path), locked=locked)
    _lay_lists(parsed, path, document, layers)
    _lay_rules(parsed, document, layers, locked)
    for stage in Stage:
        layers.requires[stage] |= set(getattr(parsed.require, stage.value))
    if parsed.on_error is not None:
        layers.on_error = max(layers.on_error, Action(parsed.on_error), key=lambda action: action.severity)
    if parsed.on_partial == "refuse":
        layers.on_partial = "refuse"
    return parsed


def _lay_rules(parsed: PolicyFile, document: Document, layers: Layers, locked: frozenset[str]) -> None:
    relax = {item.rule: item.because for item in parsed.relax}
    for position, item in enumerate(parsed.relax):
        line = document.line(("relax", position, "rule"))
        if item.rule in locked:
            raise PolicyError(
                f"rule {item.rule!r} is part of the floor and cannot be relaxed", file=document.file, line=line
            )
        if item.rule not in layers.rules:
            nearest = closest(item.rule, layers.rules)
            raise PolicyError(
                f"no inherited rule is called {item.rule!r}", file=document.file, line=line, nearest=nearest
            )
    own: set[str] = set()
    for position, rule in enumerate(parsed.rules):
        line = document.line(("rules", position, "id"))
        _check_id(rule, own, locked, document, line)
        own.add(rule.id)
        inherited = layers.rules.get(rule.id)
        if inherited is not None and rule.id not in relax and not _tightens(inherited[0], rule):
            raise PolicyError(
                f"rule {rule.id!r} loosens the inherited rule of that name",
                file=document.file,
                line=line,
                advice="Keep its conditions and only raise its action, or list it under `relax` with a reason.",
            )
        layers.rules[rule.id] = (rule, document, position)
    for name, because in relax.items():
        layers.relaxed[name] = because
        if name not in own:
            del layers.rules[name]


def _check_id(rule: RuleSpec, own: set[str], locked: frozenset[str], document: Document, line: int | None) -> None:
    if rule.id in own:
        raise PolicyError(f"two rules are called {rule.id!r}", file=document.file, line=line)
    if rule.id in locked:
        raise PolicyError(
            f"rule {rule.id!r} is part of the floor and cannot be redefined", file=document.file, line=line
        )
    if rule.id.startswith(_GUARD_PREFIX) or rule.id in ("coverage", "unreadable-picture"):
        raise PolicyError(f"the name {rule.id!r} is reserved for the guard itself", file=document.file, line=line)


def _tightens(before: RuleSpec, after: RuleSpec) -> bool:
    """Same conditions, and nothing about acting is milder."""
    conditions = ("when", "pattern", "patterns", "term_list", "engine")
    if any(getattr(before, name) != getattr(after, name) for name in conditions):
        return False
    return (
        _stages(before) <= _stages(after)
        and Action(after.then) >= Action(before.then)
        and (before.mode == "shadow" or after.mode == "enforce")
        and after.rollout >= before.rollout
    )


def _lay_lists(parsed: PolicyFile, path: Path, document: Document, layers: Layers) -> None:
    for name, spec in parsed.lists.items():
        terms = [*spec.terms, *_file_terms(name, spec, path, document)]
        if not terms:
            raise PolicyError(f"list {name!r} is empty", file=document.file, line=document.line(("lists", name)))
        layers.lists[name] = [*layers.lists.get(name, []), *terms]


def _file_terms(name: str, spec: ListSpec, path: Path, document: Document) -> list[str]:
    if spec.file is None:
        return []
    file = path.parent / spec.file
    try:
        if file.stat().st_size > MAX_LIST_BYTES:
            raise PolicyError(f"a list file may have {MAX_LIST_BYTES} bytes", file=str(file))
        with file.open(encoding="utf-8", newline="") as lines:
            return [row[0] for row in csv.reader(lines) if row and row[0].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        line = document.line(("lists", name, "file"))
        raise PolicyError(f"list file {spec.file!r} cannot be read", file=document.file, line=line) from error


def _compile(
    top: PolicyFile,
    specs: Mapping[str, tuple[RuleSpec, Document, int | None]],
    lists: Mapping[str, list[str]],
    layers: Layers,
    locked: frozenset[str],
) -> Policy:
    patterns: list[str] = []
    terms = {name: TermList(items) for name, items in lists.items()}
    rules = tuple(
        _rule(spec, document, position, patterns, terms, floor=spec.id in locked)
        for spec, document, position in specs.values()
    )
    requires = {stage: frozenset(names) for stage, names in layers.requires.items()}
    content = {
        "rules": [spec.model_dump() for spec, _, _ in specs.values()],
        "lists": lists,
        "require": {stage.value: sorted(names) for stage, names in requires.items()},
        "on_error": layers.on_error.value,
        "on_partial": layers.on_partial,
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True)
    ref = PolicyRef(top.name, top.version, f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}")
    return Policy(ref, rules, PatternSet(patterns), layers.on_error, layers.on_partial, requires, layers.relaxed)


def _rule(
    spec: RuleSpec,
    document: Document,
    position: int | None,
    patterns: list[str],
    terms: Mapping[str, TermList],
    *,
    floor: bool,
) -> Rule:
    def line(name: str) -> int | None:
        return document.line(("rules", position if position is not None else 0, name))

    written = [*([spec.pattern] if spec.pattern else []), *spec.patterns]
    if spec.when is None and not written and spec.term_list is None:
        raise PolicyError(f"rule {spec.id!r} needs `when`, `pattern` or `list`", file=document.file, line=line("id"))
    if spec.term_list is not None and spec.term_list not in terms:
        nearest = closest(spec.term_list, terms)
        raise PolicyError(
            f"no list is called {spec.term_list!r}", file=document.file, line=line("list"), nearest=nearest
        )
    where = "pattern" if spec.pattern else "patterns"
    positions, fuzzy = set(), []
    for pattern in written:
        if spec.engine == "regex":
            fuzzy.append(compile_fuzzy(pattern, file=document.file, line=line(where)))
            continue
        check_re2(pattern, file=document.file, line=line(where))
        positions.add(len(patterns))
        patterns.append(pattern)
    if len(patterns) > MAX_PATTERNS:
        raise PolicyError(f"a policy may have {MAX_PATTERNS} patterns", file=document.file, line=line(where))
    condition = compile_condition(spec.when, file=document.file, line=line("when")) if spec.when is not None else None
    return Rule(
        id=spec.id,
        stages=_stages(spec),
        action=Action(spec.then),
        message=spec.message,
        severity=spec.severity,
        mode=spec.mode,
        rollout=spec.rollout,
        condition=condition,
        patterns=frozenset(positions),
        fuzzy=tuple(fuzzy),
        terms=terms[spec.term_list] if spec.term_list is not None else None,
        spec=spec,
        floor=floor,
        source=document.file or "",
    )


def _stages(spec: RuleSpec) -> frozenset[Stage]:
    return frozenset(Stage(name) for name in ([spec.stage] if isinstance(spec.stage, str) else spec.stage))


def _locate(name: str | Path, base: Path | None, line: int | None = None) -> Path:
    """A path as it is (relative to `base`'s folder), or a shipped policy by name."""
    text = str(name)
    if isinstance(name, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        path = Path(name)
        return path if path.is_absolute() or base is None else base.parent / path
    folder = shipped("policies")
    path = folder / f"{text}.yaml"
    if not path.is_file():
        known = sorted(item.stem for item in folder.glob("*.yaml"))
        raise PolicyError(
            f"no shipped policy is called {text!r}; there are {', '.join(known)}",
            file=str(base) if base else None,
            line=line,
            nearest=closest(text, known),
            advice="Give the name of a shipped policy, or a path that ends in .yaml.",
        )
    return path


def _path(location: tuple[Any, ...]) -> tuple[str | int, ...]:
    """A pydantic location without the names of union members."""
    kept = [
        part for part in location if isinstance(part, int) or not str(part).startswith(("list[", "literal[", "str"))
    ]
    return tuple(kept)


def _nearest_field(model: type[BaseModel], path: tuple[str | int, ...]) -> str | None:
    known = set()
    todo = [model]
    while todo:
        current = todo.pop()
        for name, info in current.model_fields.items():
            known.add(info.alias or name)
            todo += [item for item in _models(info.annotation) if item is not current]
    return closest(str(path[-1]), sorted(known))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [item for part in getattr(annotation, "__args__", ()) for item in _models(part)]
