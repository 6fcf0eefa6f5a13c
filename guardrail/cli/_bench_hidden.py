"""`guardrail bench hidden`: a fresh corpus of pictures with and without hidden instructions, judged and counted."""

from __future__ import annotations

import importlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from guardrail.errors import ConfigurationError
from guardrail.evaluation.metrics import Rate
from guardrail.guard import Guard
from guardrail.settings import load_settings
from guardrail.signals import GenerationRequest, Picture

KIT = "tests.attacks.hidden.corpus"


def kit() -> Callable[..., list[dict[str, Any]]]:
    """The generator of the attack kit, which only a checkout has.

    Raises:
        ConfigurationError: this is an installed package.
    """
    try:
        found: Callable[..., list[dict[str, Any]]] = importlib.import_module(KIT).build
    except ImportError as error:
        raise ConfigurationError(
            "the attack kit is not installed", advice="Run this in a checkout of guardrail, at its top folder."
        ) from error
    return found


def measured(folder: Path, labels: list[dict[str, Any]], policy: str) -> dict[str, tuple[int, int]]:
    """(held or blocked, all) of each set of a corpus; what other rules hold is not counted."""
    counts: dict[str, list[bool]] = defaultdict(list)
    settings = load_settings(record=False, thorough=True)
    with Guard.from_policy(policy, settings=settings) as guard:
        for label in track(labels, "judging", console=Console(stderr=True)):
            data = (folder / label["file"]).read_bytes()
            verdict = guard.check_inputs_sync(GenerationRequest(uploads=(Picture(data),)))
            held = [reason for reason in verdict.reasons if reason.action.value in ("hold", "block")]
            name = str(label.get("set") or label["family"])
            name = f"benign {label['kind']}" if not label["label"] else name
            counts[name].append(any("injection" in reason.rule or reason.mode == "fault" for reason in held))
    return {name: (sum(found), len(found)) for name, found in sorted(counts.items())}


def run(half: str, seed: int, counts: Mapping[str, int], policy: str, keep: Path | None, *, as_json: bool) -> None:
    """Make the corpus, judge it, and print rates with 95 % intervals."""
    build = kit()
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        labels = build(folder, half, seed, counts) if counts else build(folder, half, seed)
        found = measured(folder, labels, policy)
    benign = [value for name, value in found.items() if name.startswith("benign")]
    attacks = [value for name, value in found.items() if not name.startswith("benign")]
    for name, values in (("all attacks", attacks), ("all benign", benign)):
        found[name] = (sum(held for held, _ in values), sum(count for _, count in values))
    if as_json:
        click.echo(json.dumps({name: {"held": held, "n": count} for name, (held, count) in found.items()}))
        return
    table = Table("set", "held", "of", "rate", "95 %", title=f"{half} half, seed {seed}, policy {policy}")
    for name, (held, count) in found.items():
        if count:
            rate = Rate(count, held)
            low, high = rate.interval
            table.add_row(name, str(held), str(count), f"{rate.share:.1%}", f"{low:.1%} to {high:.1%}")
    Console().print(table)
