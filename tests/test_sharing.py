"""What detectors share lives as long as they do, and no longer."""

from __future__ import annotations

import gc
import weakref

import pytest

from guardrail.detector import DetectorContext, build
from guardrail.inference import ModelStore
from guardrail.records import LocalRegistry
from guardrail.settings import Settings
from guardrail.sharing import Shared


class Owner:
    """Somebody who owns weights."""


class Held:
    """Made for an owner, whom it holds, as detectors' parts hold their provider."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner


def test_all_who_ask_get_the_same() -> None:
    shared: Shared[Owner, Held] = Shared()
    first, second = Owner(), Owner()
    one = shared.of(first, lambda: Held(first))
    assert shared.of(first, lambda: Held(first)) is one
    assert shared.of(second, lambda: Held(second)) is not one


def test_what_nobody_holds_is_gone_with_its_owner() -> None:
    shared: Shared[Owner, Held] = Shared()

    def used() -> weakref.ref[Owner]:
        owner = Owner()
        assert shared.of(owner, lambda: Held(owner)).owner is owner
        return weakref.ref(owner)

    gone = used()
    gc.collect()
    assert gone() is None


@pytest.mark.models
def test_the_networks_of_detectors_go_with_them(settings: Settings) -> None:
    store = ModelStore(settings)
    detectors = build(DetectorContext(settings, store, LocalRegistry(settings)))
    assert detectors
    gone = weakref.ref(store)
    del store, detectors
    gc.collect()
    assert gone() is None
