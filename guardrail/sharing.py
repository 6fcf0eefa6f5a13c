"""One object for everybody in a process who uses the same provider of weights or the same registry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, ref

Owner = TypeVar("Owner")
Made = TypeVar("Made")


class Shared(Generic[Owner, Made]):
    """What was made for each owner, for as long as somebody else holds it.

    What is made usually holds its owner. Were it held here, both would stay for ever: networks, texts and faces of
    guards that were closed long ago.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[Owner, ref[Made]] = WeakKeyDictionary()

    def of(self, owner: Owner, make: Callable[[], Made]) -> Made:
        """The one of `owner`; made when there is none, or none is left. Both must be open to weak references."""
        with self._lock:
            known = self._known.get(owner)
            found = known() if known is not None else None
            if found is None:
                found = make()
                self._known[owner] = ref(found)
            return found
