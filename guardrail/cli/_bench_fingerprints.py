"""`guardrail bench fingerprints`: edits found, different pictures confused, and search among many hashes."""

from __future__ import annotations

import importlib.util
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from guardrail import hamming
from guardrail.errors import ConfigurationError
from guardrail.evaluation.metrics import Rate
from guardrail.evaluation.together import edited
from guardrail.records.fingerprints import PICTURE_DISTANCE
from guardrail.signals import FingerprintList
from guardrail.vision.fingerprint.detector import GOOD_QUALITY, Views, views_of
from guardrail.vision.fingerprint.index import ListIndex
from guardrail.vision.fingerprint.views import listing
from guardrail.vision.pyramid import Level

_SEED = 20_241
_BRUTE_RUNS = 20
_VIEWS = 16
"""Hashes that a picture is looked up by, when nothing frames it and somebody listed pictures."""
_NEAR = (31, PICTURE_DISTANCE, 48, 56)
_CHUNK = 1_000_000


def run_set(folder: Path, half: str | None, machine: Callable[[], str], *, as_json: bool) -> None:
    """Every original listed alone and looked up as each of its edits; every picture against all others."""
    rows, variants = _edits(folder)
    rows = rows if half is None else rows[half == "odd" :: 2]
    originals = [(folder / row["file"], row["file"]) for row in rows]
    found, cpu = _found(originals, variants)
    joined, _ = _found(originals, _together)
    pictures = [json.loads(line) for line in (folder / "pictures.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs, nearest = _confused([folder / row["image"] for row in pictures])
    rates = {name: Rate(len(hits), sum(hits)) for name, hits in found.items()}
    whole = Rate(sum(rate.n for rate in rates.values()), sum(rate.hits for rate in rates.values()))
    if as_json:
        edits = {name: {"n": rate.n, "found": rate.hits} for name, rate in rates.items()}
        summary = {"n": whole.n, "found": whole.hits, "share": whole.share}
        several = {name: {"n": len(hits), "found": sum(hits)} for name, hits in joined.items()}
        told = {"pairs": pairs, "nearest": nearest[0], "within": _within(nearest), "lookup_cpu_ms": cpu}
        click.echo(
            orjson.dumps({"machine": machine(), "edits": edits, "all": summary, "together": several, "different": told})
        )
        return
    table = Table("edit", "found", "of", "rate", "95 %", title=machine())
    rates["all of these"] = whole
    for name, rate in [*rates.items(), *((name, Rate(len(hits), sum(hits))) for name, hits in joined.items())]:
        low, high = rate.interval
        table.add_row(name, str(rate.hits), str(rate.n), f"{rate.share:.1%}", f"{low:.1%} to {high:.1%}")
    Console().print(table)
    click.echo(
        f"{pairs} pairs of different pictures: nearest {nearest[0]} bits, "
        + ", ".join(f"{count} within {bits}" for bits, count in _within(nearest).items())
        + f"; a lookup takes {cpu:.1f} ms CPU"
    )


def _edits(folder: Path) -> tuple[list[dict[str, str]], Callable[[str, str], Iterator[tuple[str, Image.Image]]]]:
    """Rows and edits as the set's own script makes them.

    Raises:
        ConfigurationError: the folder has no such script.
    """
    script = folder / "neardup.py"
    spec = importlib.util.spec_from_file_location("neardup", script) if script.is_file() else None
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{script} is not there", advice="Give a folder with neardup.py and pictures.jsonl.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rows(), module.variants


def _together(path: str, key: str) -> Iterator[tuple[str, Image.Image]]:
    with Image.open(path) as picture:
        yield from edited(picture.convert("RGB"), key)


def _found(
    originals: list[tuple[Path, str]], variants: Callable[[str, str], Iterator[tuple[str, Image.Image]]]
) -> tuple[dict[str, list[bool]], float]:
    """Whether each edit of each original is found, and median CPU milliseconds of a lookup."""
    found: dict[str, list[bool]] = defaultdict(list)
    times = []
    for path, key in track(originals, "edits", console=Console(stderr=True)):
        original = _level(Image.open(path))
        hashes = listing(original)
        # what `takedown add` would refuse counts as never found
        limit = PICTURE_DISTANCE if views_of(original).quality >= GOOD_QUALITY else -1
        owners, limits = np.zeros(len(hashes), np.int64), np.full(len(hashes), limit)
        index = ListIndex(FingerprintList(0, ("listed",), hashes, limits, owners=owners))
        for name, copy in variants(str(path), key):
            level = _level(copy)
            _ = level.base
            begun = time.process_time()
            views = views_of(level)
            matches = index.nearest(views.hashes, strict=views.quality < GOOD_QUALITY)
            times.append((time.process_time() - begun) * 1000)
            found[name].append(any(item.id == "listed" and item.beyond <= 0 for item in matches))
    return found, statistics.median(times)


def _confused(paths: list[Path]) -> tuple[int, list[int]]:
    """Number of different pairs, and the least distance of each ordered pair that comes within the widest of `_NEAR`.

    Every picture is listed, with all its cuts and turns, and looked up, in all its views.
    """
    listed: list[NDArray[np.uint8]] = []
    looked: list[Views] = []
    for path in track(paths, "different pictures", console=Console(stderr=True)):
        level = _level(Image.open(path))
        listed.append(listing(level))
        looked.append(views_of(level))
    owners = np.repeat(np.arange(len(listed)), [len(hashes) for hashes in listed])
    codes = hamming.words(np.concatenate(listed))
    nearest = []
    for number, views in enumerate(track(looked, "pairs", console=Console(stderr=True))):
        distances = hamming.scan(codes, hamming.words(views.hashes)).min(axis=0)
        least = np.full(len(listed), hamming.BITS)
        np.minimum.at(least, owners, distances)
        least[number] = hamming.BITS
        nearest.append(least)
    return len(listed) * (len(listed) - 1) // 2, sorted(int(item) for item in np.concatenate(nearest))


def _within(nearest: list[int]) -> dict[str, int]:
    return {str(bits): sum(item <= bits for item in nearest) for bits in _NEAR}


def _level(image: Image.Image) -> Level:
    return Level(0, np.ascontiguousarray(np.asarray(image.convert("RGB"))))


def run_size(size: int, runs: int, machine: Callable[[], str], *, as_json: bool) -> None:
    """Build an index on disk, map it, and look up hashes that are up to 31 bits off; recall against comparing all."""
    random = np.random.default_rng(_SEED)
    with tempfile.TemporaryDirectory() as scratch:
        codes = random.integers(0, 256, (size, hamming.BYTES), dtype=np.uint8)
        begun = time.process_time()
        hamming.MultiIndex.build(codes, 31).save(Path(scratch))
        built = time.process_time() - begun
        index = hamming.MultiIndex.open(Path(scratch))
        queries = _near(codes[random.integers(0, size, runs)], random)
        times, counts = [], []
        for query in queries:
            begun = time.process_time()
            counts.append(len(index.search(query[None], 31).row))
            times.append((time.process_time() - begun) * 1000)
        views = []
        for start in range(0, runs - _VIEWS + 1, _VIEWS):
            begun = time.process_time()
            index.search(queries[start : start + _VIEWS], 31)
            views.append((time.process_time() - begun) * 1000)
        wanted = _compared(codes, queries[:_BRUTE_RUNS])
    ranked = sorted(times)
    figures: dict[str, Any] = {
        "hashes": size,
        "searches": runs,
        "cpu_ms_median": statistics.median(times),
        "cpu_ms_p99": ranked[min(runs - 1, int(runs * 0.99))],
        "cpu_ms_median_16_views": statistics.median(views) if views else 0.0,
        "index_mb": index.nbytes / 1e6,
        "build_cpu_s": built,
        "found": sum(count > 0 for count in counts),
        "compared_with_all": {"searches": len(wanted), "hits": sum(wanted), "found": sum(counts[: len(wanted)])},
    }
    if as_json:
        click.echo(orjson.dumps({"machine": machine(), **figures}))
        return
    click.echo(machine())
    for name, value in figures.items():
        click.echo(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")


def _near(codes: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint64]:
    bits = np.unpackbits(codes, axis=1)
    for row in bits:
        row[random.choice(hamming.BITS, random.integers(0, 32), replace=False)] ^= 1
    return hamming.words(np.packbits(bits, axis=1))


def _compared(codes: NDArray[np.uint8], queries: NDArray[np.uint64]) -> list[int]:
    """How many codes lie within 31 bits of each query, by comparing all."""
    counts = np.zeros(len(queries), dtype=np.int64)
    for at in range(0, len(codes), _CHUNK):
        counts += (hamming.scan(hamming.words(codes[at : at + _CHUNK]), queries) <= 31).sum(axis=1)
    return [int(count) for count in counts]
