"""Where policy files are, and how their text becomes validated models with line numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from guardrail.errors import PolicyError
from guardrail.policy.expression import closest
from guardrail.policy.tree import MAX_BYTES, Document, read
from guardrail.settings import shipped

M = TypeVar("M", bound=BaseModel)


def locate(name: str | Path, base: Path | None = None, line: int | None = None) -> Path:
    """A path (relative to the folder of the file `base`), or the file of a shipped policy by its name.

    Raises:
        PolicyError: no shipped policy has that name, or the text cannot be a path.
    """
    text = str(name)
    if isinstance(name, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        path = Path(name) if base is None else base.parent / name
        try:
            return path.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise PolicyError("not a usable path", file=str(base) if base else None, line=line) from error
    folder = shipped("policies")
    known = {item.stem: item for item in sorted(folder.glob("*.yaml"))}
    if text not in known:
        raise PolicyError(
            f"no shipped policy is called {text!r}; there are {', '.join(known)}",
            file=str(base) if base else None,
            line=line,
            nearest=closest(text, known),
            advice="Give the name of a shipped policy, or a path that ends in .yaml.",
        )
    return known[text].resolve()


def read_text(path: Path, limit: int) -> str:
    """Text of a regular file of at most `limit` bytes.

    Raises:
        PolicyError: it is not there, not a regular file, too large, or not UTF-8.
    """
    try:
        if not path.is_file():
            raise PolicyError("there is no such file", file=str(path))
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise PolicyError(f"the file has more than {limit} bytes", file=str(path))
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise PolicyError(f"the file cannot be read ({type(error).__name__})", file=str(path)) from error


def read_file(path: Path) -> Document:
    """Read and parse a YAML file.

    Raises:
        PolicyError: it cannot be read or is not the strict YAML of policies.
    """
    return read(read_text(path, MAX_BYTES), str(path))


def parse(model: type[M], document: Document) -> M:
    """Validate `document` as `model`.

    Raises:
        PolicyError: at the line of the first fault, with the nearest right name.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        # A union reports every member it tried; the one that got furthest says most.
        def order(item: ErrorDetails) -> tuple[int, int]:
            path = _path(item["loc"])
            return document.line(path) or 0, -len(path)

        first = min(error.errors(), key=order)
        path = _path(first["loc"])
        problem, nearest = _problem(model, first, path)
        where = ".".join(str(part) for part in path)
        message = f"{where}: {problem}" if where else problem
        raise PolicyError(message, file=document.file, line=document.line(path), nearest=nearest) from error


def _problem(model: type[BaseModel], fault: Any, path: tuple[str | int, ...]) -> tuple[str, str | None]:
    if fault["type"] == "extra_forbidden":
        name = str(path[-1])
        return f"no field is called {name!r} here", closest(name, _fields(model, path[:-1]))
    if fault["type"] == "missing":
        return f"{path[-1]!r} is missing", None
    if fault["type"] == "literal_error":
        options = [item.strip(" '") for item in fault["ctx"]["expected"].replace(" or ", ",").split(",")]
        return f"{fault['input']!r:.60} is not one of {', '.join(options)}", closest(str(fault["input"])[:60], options)
    return str(fault["msg"]), None


def _path(location: tuple[Any, ...]) -> tuple[str | int, ...]:
    """A pydantic location without the names of union members."""
    return tuple(part for part in location if part != "str" and not str(part).startswith(("list[", "literal[")))


def _fields(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Names of the fields at `path`."""
    here = [model]
    for part in path:
        found = [info for item in here for name, info in item.model_fields.items() if part == (info.alias or name)]
        here = [item for info in found for item in _models(info.annotation)] or here
    return [info.alias or name for item in here for name, info in item.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [item for part in getattr(annotation, "__args__", ()) for item in _models(part)]
