"""Faces against labelled pairs: verification, identification in a large gallery, disguises, search among many."""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import ConfigurationError
from guardrail.evaluation.face_disguises import DISGUISES, Change
from guardrail.evaluation.metrics import Rate
from guardrail.evaluation.ranking import auroc
from guardrail.settings import Faces, Limits
from guardrail.signals import FaceGallery, Picture
from guardrail.vision.decode import decode
from guardrail.vision.detect import Face
from guardrail.vision.gallery import FaceIndex
from guardrail.vision.matching import STRANGERS_MEAN, STRANGERS_SPREAD, even_point, likeness
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import Level
from guardrail.vision.seen import Seen, see

RATES = (1e-2, 1e-3, 1e-4)
HOLD = 0.3
"""Score from which the default policy stops an enrolled face."""
_DRAWS = 1_000
_STRANGERS = 5_000
_SHARED_SEED = 99


@dataclass(frozen=True, slots=True)
class Pairs:
    """Labelled pairs of pictures, by their paths relative to `folder`."""

    folder: Path
    rows: tuple[tuple[str, str, bool], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every picture once."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row[:2]))


def read_pairs(path: Path) -> Pairs:
    """A CSV with the columns a, b (paths beside the file) and same (1 or 0).

    Raises:
        ConfigurationError: it cannot be read, a column is missing, or one of the two kinds of pair is.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = tuple((row["a"], row["b"], row["same"].strip() == "1") for row in csv.DictReader(file))
    except (OSError, UnicodeDecodeError, KeyError, AttributeError, csv.Error) as error:
        raise ConfigurationError(
            f"pairs file {path}: {error}", advice="Give a CSV with the columns a, b and same."
        ) from error
    if len({row[2] for row in rows}) < 2:
        raise ConfigurationError(f"pairs file {path} needs pairs of one person and pairs of two")
    return Pairs(path.parent, rows)


def main_face(found: Seen) -> int | None:
    """The face a portrait is of, large and central, or None when there is none."""
    height, width = found.level.rgb.shape[:2]
    diagonal = float(np.hypot(width, height))

    def weight(face: Face) -> float:
        x, y, wide, high = face.box
        away = float(np.hypot(x + wide / 2 - width / 2, y + high / 2 - height / 2)) / diagonal
        return float(face.area**0.5) * (1 - away)

    order = sorted(range(len(found.faces)), key=lambda index: -weight(found.faces[index]))
    return order[0] if order else None


def templates(
    models: ModelProvider, pairs: Pairs, names: Sequence[str], change: Change | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """(quick, full) template of each picture's main face, changed first when asked; left out where none is found."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name in names:
        rgb = decode(Picture((pairs.folder / name).read_bytes()), Limits()).frames[0].rgb
        item = see(models, Level(0, rgb))
        index = main_face(item)
        if change is not None and index is not None:
            item = see(models, Level(0, np.ascontiguousarray(change(rgb, item.faces[index]))))
            index = main_face(item)
        if index is not None:
            # placing features anew keeps the order of the judged faces
            look = item.look(index)
            found[name] = (look.quick, look.full)
    return found


def verification(pairs: Pairs, known: Mapping[str, tuple[Tensor, Tensor]], settings: Faces) -> dict[str, Any]:
    """AUC; true accepts at fixed false accepts, with the cosine that gives them; both rates at the even point."""
    same, other = _cosines(pairs, known, known)
    even = even_point(settings.false_matches, 1)
    cuts = {f"{rate:g}": _at(same, other, rate) for rate in RATES}
    return {
        "pairs": {"same": len(same), "different": len(other)},
        "auroc": round(auroc(same.tolist(), other.tolist()) or 0.0, 5),
        "strangers": {"mean": round(float(other.mean()), 4), "spread": round(float(other.std()), 4)},
        "tar_at_far": cuts,
        "even": {
            "cosine": round(even, 4),
            "tar": Rate(len(same), int((same >= even).sum())).to_dict(),
            "far": Rate(len(other), int((other >= even).sum())).to_dict(),
        },
    }


def disguised(
    models: ModelProvider, pairs: Pairs, known: Mapping[str, tuple[Tensor, Tensor]], settings: Faces, every: int
) -> dict[str, dict[str, Any]]:
    """For each disguise of every n-th picture: faces still found, pairs still accepted at the shipped even point."""
    even = even_point(settings.false_matches, 1)
    names = pairs.names[::every]
    result = {}
    for label, change in DISGUISES.items():
        changed = templates(models, pairs, names, change)
        same, other = _cosines(pairs, changed, known)
        missing = sum(1 for a, b, alike in pairs.rows if alike for name in (a, b) if name in names) - len(same)
        result[label] = {
            "found": Rate(len(names), len(changed)).to_dict(),
            "tar": Rate(len(same) + missing, int((same >= even).sum())).to_dict(),
            "far": Rate(len(other), int((other >= even).sum())).to_dict(),
        }
    return result


def identification(
    pairs: Pairs, known: Mapping[str, tuple[Tensor, Tensor]], settings: Faces, size: int
) -> dict[str, Any]:
    """Each picture against `size` synthetic people and everybody labelled as somebody else: false alarms a picture, and
    of 5,000 synthetic strangers too; and how often the person is found when enrolled from one other picture, and from
    all others together with their mean."""
    strangers, friends = _neighbours(pairs)
    synthetic = FaceIndex(FaceGallery(1, tuple(map(str, range(size))), synthetic_templates(size)))
    total = size + len(known)
    even = even_point(settings.false_identifications, total)
    alarms: list[float] = []
    one: list[float] = []
    joined: list[float] = []
    for name, (_, full) in known.items():
        rows = [known[other][1] for other in strangers[name] if other in known]
        cosine = max([synthetic.best(full)[0], *(float(row @ full) for row in rows)])
        alarms.append(likeness(cosine, even))
        mine = [known[other][1] for other in friends[name] if other in known]
        one += [likeness(float(row @ full), even) for row in mine]
        if len(mine) >= 2:
            mean = np.mean(mine, axis=0)
            best = max(float(mean @ full) / float(np.linalg.norm(mean)), *(float(row @ full) for row in mine))
            joined.append(likeness(best, even))
    enrolled = np.stack([full for _, full in known.values()])
    passing = synthetic_templates(_STRANGERS, seed=6)
    invented = [likeness(max(synthetic.best(probe)[0], float((enrolled @ probe).max())), even) for probe in passing]
    counted = {
        "false alarms": alarms,
        "false alarms, synthetic": invented,
        "found, one picture": one,
        "found, several": joined,
    }
    return {
        "templates": total,
        "even": round(even, 4),
        **{
            f"{label} at {cut:g}": Rate(len(scores), sum(score >= cut for score in scores)).to_dict()
            for label, scores in counted.items()
            for cut in (HOLD, 0.5)
        },
    }


def search_cost(size: int, *, probes: int = 200) -> dict[str, Any]:
    """A gallery of `size` synthetic people: time to make its index, time of a search, memory, recall.

    Probes resemble somebody enrolled by a cosine of 0.55 and of 0.65; the even point of a million is 0.67. Recall is
    against an exact scan.
    """
    vectors = synthetic_templates(size)
    begun = time.process_time()
    index = FaceIndex(FaceGallery(1, tuple(map(str, range(size))), vectors))
    built = time.process_time() - begun
    random = np.random.default_rng(11)
    spent, found = [], {}
    for cosine in (0.55, 0.65):
        hits = 0
        for row in random.integers(0, size, probes):
            probe = _resembling(vectors[row], cosine, random)
            begun = time.process_time()
            best = index.best(probe)
            spent.append((time.process_time() - begun) * 1000)
            hits += best[0] >= float((vectors @ probe).max()) - 1e-6
        found[f"recall at {cosine:g}"] = Rate(probes, hits).to_dict()
    return {
        "people": size,
        "exact": index.exact,
        "index_s": round(built, 3),
        "index_mb": round(index.sketch_bytes / 2**20, 1),
        "templates_mb": round(vectors.nbytes / 2**20, 1),
        "search_cpu_ms": round(float(np.median(spent)), 3),
        **found,
    }


def synthetic_templates(count: int, seed: int = 5) -> Tensor:
    """(count, 128) unit templates of people who do not exist, whose cosines have the mean and spread of strangers'."""
    random = np.random.default_rng(seed)
    # variances from 1 - u to 1 + u: their fourth moment sets the spread of cosines
    reach = float(np.sqrt(3 * (128 * STRANGERS_SPREAD**2 - 1)))
    scale = np.sqrt(np.linspace(1 - reach, 1 + reach, 128)).astype(np.float32)
    rows: Tensor = random.standard_normal((count, 128), dtype=np.float32)
    rows *= scale / np.float32(np.sqrt(128))
    shared = np.random.default_rng(_SHARED_SEED).standard_normal(128, dtype=np.float32)
    rows += shared * np.float32(np.sqrt(STRANGERS_MEAN / (1 - STRANGERS_MEAN)) / np.linalg.norm(shared))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _resembling(vector: Tensor, cosine: float, random: np.random.Generator) -> Tensor:
    other = random.standard_normal(128, dtype=np.float32)
    other -= (other @ vector) * vector
    mixed: Tensor = np.float32(cosine) * vector + np.float32(np.sqrt(1 - cosine**2)) * other / np.linalg.norm(other)
    return mixed.astype(np.float32)


def _cosines(
    pairs: Pairs, left: Mapping[str, tuple[Tensor, Tensor]], right: Mapping[str, tuple[Tensor, Tensor]]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Cosines of pairs of one person and of two; when left and right differ, each pair counts from both ends."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for a, b, alike in pairs.rows:
        for one, other in ((a, b),) if left is right else ((a, b), (b, a)):
            if one in left and other in right:
                found[alike].append(float(left[one][1] @ right[other][1]))
    return np.array(found[True]), np.array(found[False])


def _at(same: np.ndarray[Any, Any], other: np.ndarray[Any, Any], rate: float) -> dict[str, Any]:
    """True accepts above the cosine that at most the share `rate` of strangers exceed; its interval by bootstrap over
    both sides (Efron 1979), so that the cut's own unsteadiness is in it."""
    cut = float(np.sort(other)[::-1][int(rate * len(other))])
    random = np.random.default_rng(0)
    shares = []
    for _ in range(_DRAWS):
        drawn = np.sort(random.choice(other, len(other)))[::-1]
        shares.append(float((random.choice(same, len(same)) > drawn[int(rate * len(other))]).mean()))
    low, high = np.quantile(shares, [0.025, 0.975])
    return {
        "tar": round(float((same > cut).mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "cosine": round(cut, 4),
    }


def _neighbours(pairs: Pairs) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    strangers: dict[str, list[str]] = defaultdict(list)
    friends: dict[str, list[str]] = defaultdict(list)
    for a, b, alike in pairs.rows:
        side = friends if alike else strangers
        side[a].append(b)
        side[b].append(a)
    return strangers, friends
