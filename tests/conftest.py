"""Shared fixtures: settings on a temporary folder, the verified weights of this machine, an empty registry."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from guardrail.detector import DetectorContext
from guardrail.inference import ModelStore
from guardrail.records import LocalRegistry
from guardrail.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data folder is empty; weights come from the usual cache."""
    return load_settings(data_dir=tmp_path / "data")


@pytest.fixture(scope="session")
def models() -> ModelStore:
    """The verified weights that `guardrail models pull` fetched; one session a network for the whole run."""
    return ModelStore(load_settings())


@pytest.fixture
def bare_context(settings: Settings, models: ModelStore) -> DetectorContext:
    """What a detector factory gets, with nobody enrolled and nothing listed."""
    return DetectorContext(settings, models, LocalRegistry(settings))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the exporters need torch, which the default install does without; `make test-export` brings it."""
    if find_spec("torch") is None or find_spec("open_clip") is None:
        skip = pytest.mark.skip(reason="needs the extra `export` (torch): run `make test-export`")
        for item in items:
            if "export" in item.keywords:
                item.add_marker(skip)
