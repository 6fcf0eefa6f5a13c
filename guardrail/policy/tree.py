"""YAML with line numbers: a bounded, strict subset that says where every value stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import yaml

from guardrail.errors import PolicyError

Path = tuple[str | int, ...]
MAX_BYTES = 500_000
MAX_DEPTH = 20

# The libyaml parser is about ten times faster; wheels carry it, a build without it still works.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TYPED = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null"))
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain data, and the 1-based line of every value by its path."""

    data: object
    lines: Mapping[Path, int]
    file: str | None

    def line(self, path: Path) -> int | None:
        """Line of the value at `path`, or of the nearest value that holds it."""
        return next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), None)


def read(text: str, file: str | None = None) -> Document:
    """Parse one YAML document.

    Refused: more than one document, duplicate keys, keys that are not plain text, aliases (they can multiply a small
    file into a huge one), tags, nesting beyond 20, lone surrogates, text beyond 500 kB.

    Raises:
        PolicyError: with file and line.
    """
    if len(text) > MAX_BYTES:
        raise PolicyError(f"a policy file may have {MAX_BYTES} characters", file=file)
    try:
        _check_events(text, file)
        root = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise PolicyError(str(problem), file=file, line=mark.line + 1 if mark else None) from error
    if root is None:
        raise PolicyError("the file is empty", file=file)
    lines: dict[Path, int] = {}
    return Document(_build(root, (), lines, file), MappingProxyType(lines), file)


def _check_events(text: str, file: str | None) -> None:
    """Bound nesting before anything recurses, and refuse aliases before anything follows them."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            raise PolicyError("aliases are not allowed", file=file, line=line)
        if getattr(event, "tag", None) is not None:
            raise PolicyError("tags are not allowed", file=file, line=line)
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > MAX_DEPTH:
            raise PolicyError("nested too deeply", file=file, line=line)


def _build(node: yaml.Node, path: Path, lines: dict[Path, int], file: str | None) -> object:
    line = node.start_mark.line + 1
    lines[path] = line
    if isinstance(node, yaml.MappingNode):
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise PolicyError("a key must be text", file=file, line=key_line)
            key = _clean(key_node.value, key_line, file)
            if key in found:
                raise PolicyError(f"{key!r:.80} is given twice", file=file, line=key_line)
            found[key] = _build(value_node, (*path, key), lines, file)
            lines[(*path, key)] = key_line
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, position), lines, file) for position, item in enumerate(node.value)]
    return _scalar(node, line, file)


def _scalar(node: yaml.Node, line: int, file: str | None) -> object:
    text = _clean(node.value, line, file)
    if node.tag not in _TYPED:  # dates and other rich scalars of YAML mean their own text here
        return text
    constructor = yaml.SafeLoader("")
    try:
        value: object = constructor.construct_object(node)
    except ValueError as error:
        raise PolicyError(f"{text[:40]!r} cannot be read", file=file, line=line) from error
    finally:
        constructor.dispose()
    return value


def _clean(text: str, line: int, file: str | None) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PolicyError("the text holds a lone surrogate", file=file, line=line) from error
    return text
