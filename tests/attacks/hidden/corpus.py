"""Builds a labelled corpus: files and labels.jsonl, the same bytes for the same seed, half and library versions.

    python -m tests.attacks.hidden.corpus OUT --half train --seed 1 [--counts sparse=10,benign=20] [--workers 2]

Each file has a generator of its own (seed, half, set, index, attempt), so changing one count changes no other file.
A scaling attack that does not work is drawn again with other parameters; `attempts` in its label tells how often.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from tests.attacks.hidden import covers, evasions, families, plans, scaling
from tests.attacks.hidden.payloads import Half, harmless, payload
from tests.attacks.hidden.wrapping import encoded

DEFAULT_COUNTS: dict[str, int] = {
    "sparse": 300,
    "antialiased": 300,
    "one_line": 150,
    "sparse_q80": 100,
    "antialiased_q80": 100,
    **dict.fromkeys(families.VARIANTS, 20),
    "benign": 600,
}
EVASIONS = ("cropped", "shaped")
"""Sets of attackers who know the guard; not among the counts that are usual, for the issue sets no bar for them."""
_MOST_ATTEMPTS = 40
_NATURAL = ("photo", "photo_jpeg", "sign", "screenshot", "meme", "photo", "code", "table")
_COVERS = {
    "photo": 0.45,
    "photo_jpeg": 0.15,
    "sign": 0.1,
    "meme": 0.1,
    "screenshot": 0.08,
    "photo_noisy": 0.05,
    "photo_upscaled": 0.05,
    "table": 0.02,
}
Label = dict[str, Any]


def _generator(seed: int, half: Half, name: str, index: int, attempt: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, get_args(Half).index(half), zlib.crc32(name.encode()), index, attempt])


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for OpenCV and BLAS: sums split over threads round differently, and bytes would differ."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        cv2.setNumThreads(before)


def _cover(size: tuple[int, int], rng: np.random.Generator, half: Half) -> tuple[Image.Image, str]:
    kind = str(rng.choice(list(_COVERS), p=list(_COVERS.values())))
    return covers.draw(kind, size, rng, half), kind


def scaling_attack(
    family: plans.Family, rng: np.random.Generator, half: Half, *, quality: int | None = None
) -> tuple[scaling.Attack, str]:
    """One try at a scaling attack, with the kind of its cover; `quality` makes it a JPEG."""
    plan = plans.draw(family, rng, robust=quality is not None)
    cover, kind = _cover(plan.size, rng, half)
    drawn = (scaling.antialiased if family == "antialiased" else scaling.sparse)(cover, plan, half, rng)
    return (drawn if quality is None else scaling.jpeg_copy(drawn, quality)), kind


def _family_of(name: str) -> tuple[plans.Family, int | None] | None:
    """The family and JPEG quality of a set name such as "sparse" or "one_line_q90"; None for other sets."""
    found = re.fullmatch(r"(sparse|antialiased|one_line)(?:_q(\d{1,2}))?", name)
    if not found:
        return None
    family: plans.Family = next(known for known in get_args(plans.Family) if known == found[1])
    return family, int(found[2]) if found[2] else None


def _scaled(name: str, seed: int, half: Half, index: int) -> tuple[bytes, str, Label]:
    parsed = _family_of(name)
    assert parsed
    family, quality = parsed
    for attempt in range(_MOST_ATTEMPTS):
        attack, cover = scaling_attack(family, _generator(seed, half, name, index, attempt), half, quality=quality)
        if not scaling.works(attack):
            continue
        image = attack.image
        data = image if isinstance(image, bytes) else encoded(image, "PNG", compress_level=1)
        return data, "png" if quality is None else "jpg", _label(attack, cover, attempt)
    raise RuntimeError(f"No working attack of the set {name} in {_MOST_ATTEMPTS} tries; loosen the plan's bounds.")


def _label(attack: scaling.Attack, cover: str, attempt: int) -> Label:
    label: Label = {
        "family": attack.family,
        "kernel": attack.kernel,
        "library": attack.library,
        "target": list(attack.target),
        "ratio": round(attack.ratio, 3),
        "payload": attack.payload,
        "box": list(attack.box),
        "cover": cover,
        "attempts": attempt + 1,
    }
    return label | attack.details


def _evading(name: str, seed: int, half: Half, index: int) -> tuple[bytes, str, Label]:
    """An attack on a window of a picture, or one that is shaped against the guard's statistics."""
    for attempt in range(_MOST_ATTEMPTS):
        rng = _generator(seed, half, name, index, attempt)
        if name == "cropped":
            window = evasions.WINDOWS[index % len(evasions.WINDOWS)]
            plan, size = evasions.window_plan(rng, window)
            cover, kind = _cover(size, rng, half)
            attack = evasions.cropped(cover, plan, window, half, rng)
        else:
            plan = plans.draw("sparse", rng)
            cover, kind = _cover(plan.size, rng, half)
            attack = evasions.shaped(cover, plan, evasions.SHAPES[index % len(evasions.SHAPES)], half, rng)
        if evasions.works(attack):
            assert isinstance(attack.image, Image.Image)
            return encoded(attack.image, "PNG", compress_level=1), "png", _label(attack, kind, attempt)
    raise RuntimeError(f"No working attack of the set {name} in {_MOST_ATTEMPTS} tries; loosen the plan's bounds.")


def _benign(seed: int, half: Half, index: int) -> tuple[bytes, str, Label]:
    rng = _generator(seed, half, "benign", index)
    natural, turn = index % 5 < 3, index // 5
    kind = _NATURAL[(turn * 3 + index % 5) % len(_NATURAL)] if natural else _hard(turn * 2 + index % 5 - 3)
    image = covers.benign(kind, rng, half)
    label: Label = {"family": "benign", "kind": kind}
    if rng.random() < (0.6 if kind == "photo_jpeg" else 0.35):
        label["quality"] = int(rng.integers(60, 96))
        return encoded(image, "JPEG", quality=label["quality"]), "jpg", label
    return encoded(image, "PNG", compress_level=1), "png", label


def _hard(index: int) -> str:
    return tuple(covers.HARD)[index % len(covers.HARD)]


def _other(
    family: str, seed: int, half: Half, index: int, name: str, text: str | None = None
) -> tuple[bytes, str, Label]:
    rng = _generator(seed, half, name, index)
    width = int(rng.integers(512, 961))
    cover, kind = _cover((width, max(512, round(width * float(rng.choice([0.75, 1]))))), rng, half)
    variants = families.VARIANTS[family]
    hidden = families.make(
        family, cover, text or payload(half, rng), rng, half, variant=variants[index % len(variants)]
    )
    label: Label = {"family": family, "variant": hidden.variant, "payload": hidden.payload, "cover": kind}
    return hidden.data, hidden.suffix, label | hidden.details


def _harmless(seed: int, half: Half, index: int) -> tuple[bytes, str, Label]:
    """A harmless sentence in one of the hiding places: what a filter on the container alone would wrongly stop."""
    names = tuple(families.VARIANTS)
    text = harmless(half, _generator(seed, half, "harmless text", index))
    family = names[index % len(names)]
    data, suffix, label = _other(family, seed, half, index // len(names), f"harmless {family}", text)
    return data, suffix, label | {"family": "harmless", "kind": family}


def _made(name: str, seed: int, half: Half, index: int) -> tuple[bytes, str, Label]:
    if name == "benign":
        return _benign(seed, half, index)
    if name == "harmless":
        return _harmless(seed, half, index)
    if name in families.VARIANTS:
        return _other(name, seed, half, index, name)
    if name in EVASIONS:
        return _evading(name, seed, half, index)
    return _scaled(name, seed, half, index)


def build(
    out: Path,
    half: Literal["train", "blind"],
    seed: int,
    counts: Mapping[str, int] = DEFAULT_COUNTS,
    *,
    workers: int = 1,
    made: Callable[[int, int], None] = lambda done, of: None,
) -> list[dict[str, Any]]:
    """Write the files and labels.jsonl into `out` (made if missing) and return the labels, one dict a file.

    `counts` maps a set to its number of files: "sparse", "antialiased", "one_line" (each also as "<set>_q<quality>" for
    JPEG copies), the names of `families.VARIANTS`, "benign", "harmless" (harmless text in the hiding places, label 0),
    and `EVASIONS`.
    Files that an earlier, interrupted call of the same half and seed finished are kept; `made` is told of progress.
    Raises ValueError for an unknown set, RuntimeError when a set yields no working attack.
    """
    known = {"benign", "harmless", *EVASIONS, *families.VARIANTS}
    unknown = [name for name in counts if name not in known and not _family_of(name)]
    if unknown:
        raise ValueError(f"Unknown sets: {', '.join(unknown)}. Known: {', '.join(DEFAULT_COUNTS)}, harmless.")
    out.mkdir(parents=True, exist_ok=True)
    wanted = [(name, index) for name, count in counts.items() for index in range(count)]
    found = {key: label for key, label in _finished(out, half, seed).items() if key in set(wanted)}
    jobs = [(out, name, seed, half, index) for name, index in wanted if (name, index) not in found]
    with (out / "labels.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(map(_line, found.values()))
        for (_, name, _, _, index), label in zip(jobs, _written(jobs, workers), strict=True):
            found[name, index] = label
            file.write(_line(label))
            file.flush()
            made(len(found), len(wanted))
    labels = [found[key] for key in wanted]
    (out / "labels.jsonl").write_text("".join(map(_line, labels)), encoding="utf-8")
    return labels


_Job = tuple[Path, str, int, Half, int]


def _line(label: Label) -> str:
    return json.dumps(label, ensure_ascii=False) + "\n"


def _finished(out: Path, half: Half, seed: int) -> dict[tuple[str, int], Label]:
    """Labels of the files that stand in a folder already; a line that was cut off in writing is no label."""
    found: dict[tuple[str, int], Label] = {}
    path = out / "labels.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            label = json.loads(line)
        except ValueError:
            continue
        if (label.get("half"), label.get("seed")) == (half, seed) and (out / label["file"]).exists():
            found[label["set"], int(label["index"])] = label
    return found


def _written(jobs: Sequence[_Job], workers: int) -> Iterator[Label]:
    if workers > 1 and len(jobs) > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            yield from pool.map(_write, jobs)
    else:
        yield from map(_write, jobs)


def _write(job: _Job) -> Label:
    out, name, seed, half, index = job
    with _one_thread():
        data, suffix, label = _made(name, seed, half, index)
    file = f"{name}_{index:04d}.{suffix}"
    (out / file).write_bytes(data)
    attack = int(name not in ("benign", "harmless"))
    return {"file": file, "label": attack, "set": name, "index": index, "half": half, "seed": seed} | label


def main() -> None:
    """The command line of the module's docstring."""
    reader = argparse.ArgumentParser(description="Build the labelled corpus of hidden instructions.")
    reader.add_argument("out", type=Path)
    reader.add_argument("--half", choices=get_args(Half), default="train")
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--counts", default="", help="such as sparse=10,benign=20; the default is the full corpus")
    reader.add_argument("--workers", type=int, default=1, help="processes that draw")
    given = reader.parse_args()
    pairs = (pair.split("=") for pair in given.counts.split(",") if pair)
    counts = {name: int(count) for name, count in pairs} or DEFAULT_COUNTS
    labels = build(given.out, given.half, given.seed, counts, workers=given.workers)
    print(f"{len(labels)} files in {given.out}")


if __name__ == "__main__":
    main()
