"""YAML files -> one compiled policy, with the floor below everything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from guardrail.errors import PolicyError
from guardrail.policy.expression import Condition, closest, compile_condition
from guardrail.policy.layers import FLOOR, Entry, Layers, gather, stages
from guardrail.policy.patterns import (
    MAX_FUZZY,
    MAX_PATTERNS,
    FuzzyPattern,
    PatternSet,
    compile_fuzzy,
    compile_re2,
)
from guardrail.policy.policy import Policy, Rule
from guardrail.policy.schema import PolicyFile
from guardrail.policy.shown import settled
from guardrail.policy.source import locate
from guardrail.policy.texts import TermList
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, PolicyRef


def load_policy(source: str | Path, *, extra: Sequence[Path] = ()) -> Policy:
    """Compile a policy. The floor is part of it, whatever the files say.

    Args:
        source: name of a shipped policy ("default"), or path of a YAML file.
        extra: policy files laid on top, in order; like `extends`, they may only tighten unless they relax by name.

    Raises:
        PolicyError: with file, line and, where a name is misspelt, the nearest right one.
    """
    floor = Layers()
    gather(locate(FLOOR), floor)
    layers = Layers(locked=frozenset(floor.rules), on_error=floor.on_error)
    top = gather(locate(source), layers)
    for path in extra:
        top = gather(locate(path), layers)
    for stage in Stage:
        layers.requires[stage] |= floor.requires[stage]
    return _Compiler([*floor.rules.values(), *layers.rules.values()], layers).policy(top)


class _Compiler:
    """Turns the gathered layers into a policy; patterns of all rules go into one set."""

    def __init__(self, entries: Sequence[Entry], layers: Layers) -> None:
        self._entries = entries
        self._layers = layers
        self._patterns: list[str] = []
        self._fuzzy = 0
        self._terms: dict[str, TermList] = {}
        self._concepts = frozenset(concept.signal for concept in layers.concepts.values())

    def policy(self, top: PolicyFile) -> Policy:
        layers = self._layers
        for name, terms in layers.lists.items():
            self._terms[name] = self._list(name, terms)
        rules = tuple(self._rule(entry) for entry in self._entries)
        requires = {stage: frozenset(names) for stage, names in layers.requires.items()}
        ref = PolicyRef(top.name, top.version, _digest(self._entries, layers))
        return Policy(
            ref=ref,
            rules=rules,
            pattern_set=PatternSet(self._patterns),
            on_error=layers.on_error,
            on_partial=layers.on_partial,
            requires=requires,
            relaxed=tuple(layers.relaxed.values()),
            concepts=tuple(layers.concepts.values()),
        )

    def _list(self, name: str, terms: Sequence[str]) -> TermList:
        try:
            return TermList(terms)
        except PolicyError as error:
            file, line = self._layers.list_lines[name]
            raise PolicyError(f"list {name!r}: {error.message}", file=file, line=line) from error

    def _rule(self, entry: Entry) -> Rule:
        spec = entry.spec
        if spec.when is None and spec.pattern is None and not spec.patterns and spec.term_list is None:
            raise entry.error(f"rule {spec.id!r} needs `when`, `pattern` or `list`", "id")
        if spec.term_list is not None and spec.term_list not in self._terms:
            nearest = closest(spec.term_list, self._terms)
            raise entry.error(f"no list is called {spec.term_list!r}", "list", nearest=nearest)
        if spec.hide is not None and (spec.then != "transform" or spec.when is None):
            raise entry.error("`hide` needs `then: transform`, and a `when` over signals that have regions", "hide")
        if spec.feed is not None and (spec.then != "block" or Stage.OUTPUT not in stages(spec)):
            raise entry.error(f"rule {spec.id!r} feeds a bank, so it must block outputs", "feed")
        positions, fuzzy = self._matchers(entry)
        file, line = entry.document.file, entry.line("when")
        return Rule(
            id=spec.id,
            stages=stages(spec),
            action=Action(spec.then),
            message=spec.message,
            severity=spec.severity,
            mode=spec.mode,
            rollout=spec.rollout,
            condition=self._condition(spec.when, file, line),
            patterns=positions,
            fuzzy=fuzzy,
            terms=self._terms[spec.term_list] if spec.term_list is not None else None,
            hide=spec.hide,
            feed=spec.feed,
            floor=not self._layers.locked.isdisjoint({spec.id}),
            source=file or "",
            line=entry.line("id"),
        )

    def _condition(self, source: str | None, file: str | None, line: int | None) -> Condition | None:
        if source is None:
            return None
        return compile_condition(source, file=file, line=line, concepts=self._concepts)

    def _matchers(self, entry: Entry) -> tuple[frozenset[int], tuple[FuzzyPattern, ...]]:
        spec, positions, fuzzy = entry.spec, set(), []
        written = [("pattern", spec.pattern)] if spec.pattern is not None else []
        for where, pattern in [*written, *(("patterns", item) for item in spec.patterns)]:
            file, line = entry.document.file, entry.line(where)
            if spec.engine == "regex":
                fuzzy.append(compile_fuzzy(pattern, file=file, line=line))
                self._fuzzy += 1
            else:
                positions.add(len(self._patterns))
                self._patterns.append(compile_re2(pattern, file=file, line=line))
            if len(self._patterns) > MAX_PATTERNS or self._fuzzy > MAX_FUZZY:
                raise entry.error(
                    f"a policy may have {MAX_PATTERNS} patterns, {MAX_FUZZY} of them with `engine: regex`", where
                )
        return frozenset(positions), tuple(fuzzy)


def _digest(entries: Sequence[Entry], layers: Layers) -> str:
    content: Mapping[str, object] = {
        "rules": [entry.spec.model_dump() for entry in entries],
        "lists": layers.lists,
        "concepts": {name: settled(concept) for name, concept in layers.concepts.items()},
        "require": {stage.value: sorted(names) for stage, names in layers.requires.items()},
        "on_error": layers.on_error.value,
        "on_partial": layers.on_partial,
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
