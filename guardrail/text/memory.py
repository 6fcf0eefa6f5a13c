"""What was found in recent texts, by keyed digest: the texts themselves are not kept."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, overload

from guardrail.signals import Detection, Subject

Result = TypeVar("Result")
_KEY = os.urandom(32)
_SIZE = 4_096
_MEMO = "text.digest"


class Remembered(Generic[Result]):
    """Results by digest. Thread safe, bounded: the least recently used goes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[bytes, Result] = OrderedDict()

    def recall(self, text: str, make: Callable[[str], Result]) -> Result:
        """The result for a text, made now when it is not known."""
        return self.recall_digest(digest(text), lambda: make(text))

    def recall_digest(self, key: bytes, make: Callable[[], Result]) -> Result:
        """The result for a digest, made now when it is not known."""
        with self._lock:
            known = self._found.get(key)
            if known is not None:
                self._found.move_to_end(key)
                return known
        result = make()
        with self._lock:
            self._found[key] = result
            while len(self._found) > _SIZE:
                self._found.popitem(last=False)
        return result


class lazy(Generic[Result]):  # noqa: N801
    """An attribute made when it is first read. `functools.cached_property` does it under a lock, ten times slower.

    Two threads may both make it; what they make must be equal.
    """

    def __init__(self, make: Callable[[Any], Result]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> lazy[Result]: ...

    @overload
    def __get__(self, owner: object, kind: type) -> Result: ...

    def __get__(self, owner: object | None, kind: type) -> lazy[Result] | Result:
        if owner is None:
            return self
        found = owner.__dict__[self._name] = self._make(owner)
        return found


class _Detector(Protocol):
    @property
    def detections(self) -> Remembered[Detection]: ...


D = TypeVar("D", bound=_Detector)


def remembered(look: Callable[[D, Subject], Detection]) -> Callable[[D, Subject], Detection]:
    """`detect` of a detector that looks at nothing but a prompt's text and at whether pictures are uploaded with it."""

    @functools.wraps(look)
    def detect(self: D, subject: Subject) -> Detection:
        if subject.prompt is None:
            return look(self, subject)
        key = subject.memo.get(_MEMO)
        if key is None:
            uploads = "with" if subject.request.uploads else "without"
            key = subject.memo[_MEMO] = digest(f"{uploads}\0{subject.prompt.text}")
        assert isinstance(key, bytes)
        return self.detections.recall_digest(key, lambda: look(self, subject))

    return detect


def digest(text: str) -> bytes:
    """Keyed digest of a text, comparable in this process only."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=16).digest()
