"""JSON read so that no other reader can read it differently.

The generator gets the caller's own bytes, so a body on which parsers disagree (repeated names, names that differ only
in case, NaN, lone surrogates, another encoding) would let it see another request than the one that was judged.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from guardrail.errors import ProtocolError


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises:
        ProtocolError: not one UTF-8 JSON object, or one that parsers read differently. The message quotes nothing.
    """
    try:
        text = body.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
    except ProtocolError:
        raise
    except UnicodeDecodeError:
        raise ProtocolError("the body is not UTF-8", code="invalid_json") from None
    except RecursionError:
        raise ProtocolError("the body is nested too deeply", code="invalid_json") from None
    except ValueError:
        raise ProtocolError("the body is not valid JSON", code="invalid_json") from None
    if not isinstance(found, dict):
        raise ProtocolError("the body must be a JSON object", code="invalid_json")
    if "\\u" in text and _lone_surrogate(found):
        raise ProtocolError("text holds half of a surrogate pair", code="invalid_json")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # Go's reader matches names without regard to case, so "Prompt" after "prompt" would win there.
    if len({name.casefold() for name in found}) != len(pairs):
        raise ProtocolError("a name is repeated in the JSON body", code="duplicate_field")
    return found


def _constant(_name: str) -> NoReturn:
    raise ProtocolError("NaN and Infinity are not JSON", code="invalid_json")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ProtocolError("a number is out of range", code="invalid_json")
    return value


def _lone_surrogate(found: Any) -> bool:
    waiting = [found]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str) and not _encodable(item):
            return True
    return False


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
