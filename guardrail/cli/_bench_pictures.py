"""`guardrail bench pictures`: nudity in a labelled set of pictures, plain and disguised, ranked and decided."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from guardrail.detector import DetectorContext
from guardrail.errors import ConfigurationError
from guardrail.evaluation.disguises import DISGUISES, INSETS, LAYOUTS, collage, enlarged, inset
from guardrail.evaluation.metrics import Rate
from guardrail.evaluation.ranking import area, at_share
from guardrail.evaluation.sets import Row, read_set
from guardrail.evaluation.slices import read_slices
from guardrail.inference import ModelStore
from guardrail.policy import Policy, load_policy
from guardrail.records import LocalRegistry
from guardrail.settings import Settings, load_settings
from guardrail.signals import RGB, DecodedPicture, Frame, GenerationRequest, Picture, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.vision.combiner import logit
from guardrail.vision.decode import decode
from guardrail.vision.nudity import NudityDetector
from guardrail.vision.pyramid import Level

SIGNAL = "sexual.nudity"
FALSE = 0.01
"""Share of harmless pictures at which the share that is found is told."""
SEED = 7
DRAWS = 4
"""Times that what is stopped is shown among or within others, drawn anew."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture: its score and which policies stop it."""

    row: Row
    score: float
    stopped: Mapping[str, bool]


class Judge:
    """The nudity detector and the rules of some policies, nothing else."""

    def __init__(self, policies: Sequence[str], settings: Settings) -> None:
        self._settings = settings
        models = ModelStore(settings)
        self._detector = NudityDetector(DetectorContext(settings, models, LocalRegistry(settings)))
        self._policies: dict[str, Policy] = {name: load_policy(name) for name in policies}

    def pixels(self, row: Row) -> RGB:
        """The first frame of the row's picture, as large as the detector looks at it."""
        assert row.image is not None
        decoded = decode(Picture(row.image.read_bytes()), self._settings.limits)
        return np.asarray(Level(0, decoded.frames[0].rgb).base)

    def judge(self, row: Row, rgb: RGB) -> Judged:
        """Score and decisions of one picture."""
        height, width = rgb.shape[:2]
        picture = DecodedPicture(Picture(b""), "png", width, height, (Frame(0, rgb),))
        subject = Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
        signals = self._detector.detect(subject).signals
        return Judged(row, _score(signals), {name: self._stops(item, signals) for name, item in self._policies.items()})

    def _stops(self, policy: Policy, signals: Sequence[Signal]) -> bool:
        return not policy.decide(Stage.OUTPUT, signals, request=GenerationRequest()).action.released


def _score(signals: Sequence[Signal]) -> float:
    return max((signal.score for signal in signals if signal.name == SIGNAL), default=0.0)


@click.command()
@click.option("--set", "path", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--policy", default="default", show_default=True)
@click.option("--released-by", default="art", show_default=True, help="Policy that is to release nudity in art.")
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Disguise each n-th harmless one."
)
@click.option(
    "--nearest",
    type=click.IntRange(min=1),
    help="Disguise so many harmless ones instead, those with the highest scores.",
)
@click.option(
    "--slices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML that names groups of rows, to be set side by side.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def pictures(
    path: Path, policy: str, released_by: str, every: int, nearest: int | None, slices: Path | None, as_json: bool
) -> None:
    """Nudity in your own labelled pictures: ranking, stop rates by category, and what disguises change.

    A row of SET: {"id", "image" (path beside the set), "label": block for nudity or allow, "category"}. The nudity
    detector and the rules of the policies run, nothing else.
    """
    rows = [row for row in read_set(path) if row.image is not None]
    judge = Judge((policy, released_by), load_settings(record=False))
    groups = read_slices(slices, rows, skip_empty=True).members if slices else {}
    plain = [judge.judge(row, judge.pixels(row)) for row in _shown(rows, "plain")]
    found = _figures(plain, policy, released_by)
    found["slices"] = {name: _group([plain[at] for at in of], policy) for name, of in groups.items() if of}
    found["disguises"] = _disguised(judge, plain, policy, _harmless(plain, every, nearest))
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        _show(found, policy, released_by)


def _shown(rows: Sequence[Any], what: str) -> Iterator[Any]:
    yield from track(rows, what, console=Console(stderr=True))


def _figures(plain: Sequence[Judged], policy: str, released_by: str) -> dict[str, Any]:
    bad = [item.score for item in plain if item.row.label == "block"]
    good = [item.score for item in plain if item.row.label == "allow"]
    ranked = area(bad, good)
    if ranked is None:
        raise ConfigurationError("the set needs pictures labelled block and allow", advice="Give another --set.")
    categories: dict[str, list[bool]] = defaultdict(list)
    for item in plain:
        categories[f"{item.row.label}: {item.row.category}"].append(item.stopped[policy])
    held = [item for item in plain if item.row.label == "block" and item.stopped[policy]]
    return {
        "auroc": ranked.to_dict(),
        "found_at_false": at_share(bad, good, FALSE, seed=SEED),
        "stopped": {name: Rate(len(item), sum(item)).to_dict() for name, item in sorted(categories.items())},
        "released_by": Rate(len(held), sum(not item.stopped[released_by] for item in held)).to_dict(),
    }


def _group(of: Sequence[Judged], policy: str) -> dict[str, Any]:
    """How often the pictures of a group are stopped, and the mean of their scores in logits with its 95 % interval."""
    scores = np.array([logit(item.score) for item in of])
    half = 1.96 * float(scores.std(ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else float("inf")
    mean = float(scores.mean())
    stopped = Rate(len(of), sum(item.stopped[policy] for item in of)).to_dict()
    return {"stopped": stopped, "mean_logit": mean, "low": mean - half, "high": mean + half}


def _harmless(plain: Sequence[Judged], every: int, nearest: int | None) -> list[Judged]:
    found = [item for item in plain if item.row.label == "allow"]
    return found[::every] if nearest is None else sorted(found, key=lambda item: -item.score)[:nearest]


def _disguised(
    judge: Judge, plain: Sequence[Judged], policy: str, harmless: Sequence[Judged]
) -> dict[str, dict[str, Any]]:
    """Per disguise: of what is stopped plain, how much still is and by how far; of what is harmless, how much is."""
    held = [item.row for item in plain if item.row.label == "block" and item.stopped[policy]]
    before = Rate(len(harmless), sum(item.stopped[policy] for item in harmless))
    fillers = [item.row for item in plain if item.row.label == "allow" and not item.stopped[policy]]
    kept: dict[str, list[Judged]] = defaultdict(list)
    false: dict[str, list[Judged]] = defaultdict(list)
    draw = random.Random(SEED)  # noqa: S311
    for row in _shown([*held, *(item.row for item in harmless)], "disguised"):
        found = kept if row.label == "block" else false
        for name, rgb in _ways(judge, row, fillers, draw, DRAWS if row.label == "block" else 1):
            found[name].append(judge.judge(row, rgb))
    return {
        name: {
            "kept": Rate(len(kept[name]), sum(item.stopped[policy] for item in kept[name])).to_dict(),
            "logits": [round(logit(item.score), 2) for item in sorted(kept[name], key=lambda item: item.score)],
            "false": Rate(len(false[name]), sum(item.stopped[policy] for item in false[name])).to_dict(),
            "false_plain": before.to_dict(),
        }
        for name in false
    }


def _ways(judge: Judge, row: Row, fillers: Sequence[Row], draw: random.Random, draws: int) -> Iterator[tuple[str, RGB]]:
    """The picture of a row in every disguise, and some times among and within harmless ones drawn by chance."""
    rgb = judge.pixels(row)
    for name, disguise in DISGUISES.items():
        yield name, disguise(rgb)
    others = [other for other in fillers if other.id != row.id]
    for _ in range(draws):
        yield from _composed(judge, rgb, others, draw)


def _composed(judge: Judge, rgb: RGB, others: Sequence[Row], draw: random.Random) -> Iterator[tuple[str, RGB]]:
    """The picture in a collage of every layout, and within a large scene at every share of its side."""
    for name, layout in LAYOUTS.items():
        count = layout.rows * layout.columns - 1
        parts = [rgb, *(judge.pixels(other) for other in draw.choices(others, k=count))]
        draw.shuffle(parts)
        yield name, collage(parts, layout.columns, layout.gutter, layout.level)
    for name, share in INSETS.items():
        around = enlarged(judge.pixels(draw.choice(others)))
        yield name, inset(around, rgb, share, (draw.random(), draw.random()))


def _rate(rate: Mapping[str, Any]) -> str:
    return f"{rate['hits']} of {rate['n']} = {rate['share']:.1%} ({rate['low']:.1%} to {rate['high']:.1%})"


def _show(found: Mapping[str, Any], policy: str, released_by: str) -> None:
    console = Console(width=120)
    ranked, share = found["auroc"], found["found_at_false"]
    console.print(f"AUROC {ranked['value']:.4f} ({ranked['low']:.4f} to {ranked['high']:.4f})")
    console.print(
        f"found at {FALSE:.0%} false alarms: {share['hits']} of {share['n']} = {share['share']:.1%} "
        f"(bootstrap {share['low']:.1%} to {share['high']:.1%}), above the score {share['cut']:.3f}"
    )
    table = Table("category", f"stopped by {policy}")
    for name, rate in found["stopped"].items():
        table.add_row(name, _rate(rate))
    console.print(table)
    console.print(f"of what {policy} stops rightly, {released_by} releases {_rate(found['released_by'])}")
    if found["slices"]:
        table = Table("slice", f"stopped by {policy}", "mean logit")
        for name, row in found["slices"].items():
            mean = f"{row['mean_logit']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
            table.add_row(name, _rate(row["stopped"]), mean)
        console.print(table)
    table = Table("disguise", "still stopped", "least, middle logit", "harmless stopped", "plain")
    for name, row in found["disguises"].items():
        logits = row["logits"]
        margin = f"{logits[0]:.1f}, {logits[len(logits) // 2]:.1f}" if logits else ""
        table.add_row(name, _rate(row["kept"]), margin, _rate(row["false"]), f"{row['false_plain']['hits']}")
    console.print(table)
