"""The operator's own names, compiled once for each version of the list."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from guardrail.detector import Registry
from guardrail.sharing import Shared
from guardrail.signals import ListedName, NameList
from guardrail.text.gazetteer import Gazetteer, PublicFigure
from guardrail.text.misspelt import NearlyNames
from guardrail.text.normalise import clean, skeleton
from guardrail.text.vocabulary import Vocabulary, names_only


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """A version of the list.

    Attributes:
        version: as the registry counts.
        gazetteer: finds names as they are spelt.
        nearly: finds them with one slip or an initial.
        words: the words of the names, to put disguised ones right: the shipped vocabulary does not know them.
        entries: what is listed, by id.
    """

    version: int
    gazetteer: Gazetteer
    nearly: NearlyNames
    words: Vocabulary
    entries: Mapping[str, ListedName]


class ListedNames:
    """What the registry lists now. Safe to use from several threads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._held: Listed | None = None
        self._version = -1

    @classmethod
    def shared(cls, registry: Registry) -> ListedNames:
        """One for all detectors that use the same registry, so that a list is compiled once."""
        return _SHARED.of(registry, lambda: cls(registry))

    def current(self) -> Listed | None:
        """The list, compiled anew when it has changed; None when nobody is listed.

        Raises:
            RecordError: the registry cannot be read; the detector then fails, and the verdict closes.
        """
        names = self._registry.names()
        if names.version != self._version:
            with self._lock:
                if names.version != self._version:
                    self._held = _compiled(names)
                    self._version = names.version
        return self._held


_SHARED: Shared[Registry, ListedNames] = Shared()


def _compiled(names: NameList) -> Listed | None:
    if not names.names:
        return None
    figures = [
        PublicFigure(spelling, entry.id, entry.kind, entry.born)
        for entry in names.names
        for spelling in (entry.name, *entry.aliases)
    ]
    words = names_only(word for figure in figures for word in skeleton(clean(figure.name)).split())
    entries = {entry.id: entry for entry in names.names}
    return Listed(names.version, Gazetteer(figures), NearlyNames(figures), words, entries)
