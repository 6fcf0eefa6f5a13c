"""YAML with line numbers: a bounded, strict subset that says where every value stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import yaml

from guardrail.errors import PolicyError

Path = tuple[str | int, ...]
MAX_BYTES = 2_000_000
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain data, and the 1-based line of every value by its path."""

    data: object
    lines: Mapping[Path, int]
    file: str | None

    def line(self, path: Path) -> int | None:
        """Line of the value at `path`, or of the nearest value that holds it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def read(text: str, file: str | None = None) -> Document:
    """Parse one YAML document.

    Refused: more than one document, duplicate keys, keys that are not text, aliases (they can multiply a small file
    into a huge one), tags other than the plain ones, nesting beyond 20, text beyond 2 MB.

    Raises:
        PolicyError: with file and line.
    """
    if len(text) > MAX_BYTES:
        raise PolicyError(f"a policy file may have {MAX_BYTES} characters", file=file)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else None
                raise PolicyError("aliases are not allowed", file=file, line=line)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise PolicyError(str(problem), file=file, line=mark.line + 1 if mark else None) from error
    except RecursionError as error:
        raise PolicyError("nested too deeply", file=file) from error
    if root is None:
        raise PolicyError("the file is empty", file=file)
    lines: dict[Path, int] = {}
    return Document(_build(root, (), lines, file), MappingProxyType(lines), file)


def _build(node: yaml.Node, path: Path, lines: dict[Path, int], file: str | None) -> object:
    line = node.start_mark.line + 1
    lines[path] = line
    if len(path) > MAX_DEPTH:
        raise PolicyError("nested too deeply", file=file, line=line)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            key_line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise PolicyError("a key must be text", file=file, line=key_line)
            if key in found:
                raise PolicyError(f"{key!r} is given twice", file=file, line=key_line)
            found[key] = _build(value_node, (*path, key), lines, file)
            lines[(*path, key)] = key_line
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, position), lines, file) for position, item in enumerate(node.value)]
    return _scalar(node, line, file)


def _scalar(node: yaml.Node, line: int, file: str | None) -> object:
    constructor = yaml.SafeLoader("")
    try:
        value = constructor.construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise PolicyError(f"{node.value[:40]!r} cannot be read", file=file, line=line) from error
    finally:
        constructor.dispose()
    if value is not None and not isinstance(value, str | int | float | bool):
        return str(node.value)
    return value
