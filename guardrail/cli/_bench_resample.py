"""`guardrail bench hidden --resample`: whether the guard's own copy of an attacked picture still shows the payload."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from guardrail.evaluation.metrics import Rate
from guardrail.inference import ModelStore
from guardrail.settings import Settings, load_settings
from guardrail.signals import RGB, Picture
from guardrail.vision.decode import decode
from guardrail.vision.hidden import scaling
from guardrail.vision.hidden.written import written
from guardrail.vision.ocr.reader import Reader
from guardrail.vision.resample import resampled

_SIDES, _KERNELS = (224, 384, 512), ("pil-nearest", "cv2-nearest", "cv2-linear")
_READ_SIDE = 736
_LETTERS, _WORDS, _ROOM = 3, 0.5, 0.05
Place = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of a picture."""
_started: tuple[Reader, Settings] | None = None


def _start() -> None:
    global _started
    settings = load_settings(record=False, preprocessing=())
    _started = Reader(ModelStore(settings)), settings


def _read(reader: Reader, rgb: RGB, place: Place) -> str:
    """What stands at a place: reading all else of a screenshot in a dozen views takes minutes."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = place
    part = rgb[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    share = max(1.0, _READ_SIDE / max(height, width))
    larger = np.asarray(cv2.resize(part, None, fx=share, fy=share, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    # lines are looked for at the scale at which the whole would be
    side = max(larger.shape[:2]) * min(1.0, _READ_SIDE / max(height, width))
    return "".join(filter(str.isalnum, reader.read(larger, round(side)).text.lower()))


def _place(label: dict[str, Any]) -> Place:
    """Where the payload stands, with room around it."""
    (left, top, right, bottom), (wide, high) = label["box"], label["target"]
    return (
        max(0.0, left / wide - _ROOM),
        max(0.0, top / high - _ROOM),
        min(1.0, right / wide + _ROOM),
        min(1.0, bottom / high + _ROOM),
    )


def _words(payload: str) -> list[str]:
    return [word for word in map(_bare, payload.split()) if len(word) >= _LETTERS]


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word.lower()))


def _checked(job: tuple[Path, dict[str, Any]]) -> tuple[bool, bool, float]:
    """Of one attack: whether a view of the copy reads the payload and the copy itself does not; the same of the upload;
    likeness of the copy to the picture.

    What the copy itself says is read as quickly as the views; where one of those says more, as carefully as the check
    of an upload reads. Views are those the attack was made for, those of usual models, and those the guard suspects.
    """
    assert _started is not None
    path, label = job
    reader, settings = _started
    picture = decode(Picture(path.read_bytes()), settings.limits)
    before = picture.frames[0].rgb
    copy = decode(Picture(resampled([picture], settings)[0]), settings.limits).frames[0].rgb
    words = _words(label["payload"])
    target, kernel = tuple(label["target"]), label["kernel"].replace("_", "-")
    own = scaling.View((target[0], target[1]), kernel)
    likeness = ssim(_luma(copy), _luma(_as_large(before, copy)))
    after = _hidden(reader, copy, own, words, _place(label), all_views=True)
    return after, _hidden(reader, before, own, words, _place(label)), likeness


def _hidden(
    reader: Reader, rgb: RGB, own: scaling.View, words: list[str], place: Place, *, all_views: bool = False
) -> bool:
    shown = _read(reader, rgb, place)
    missing = [word for word in words if word not in shown]
    views = [own]
    if all_views:
        views += [scaling.View((side, side), kernel) for side in _SIDES for kernel in _KERNELS]
        views += scaling.suspects(rgb)
    needed = max(1.0, _WORDS * len(words))
    if len(missing) < needed or not any(
        _counted(missing, _read(reader, scaling.reduced(rgb, view), place)) >= needed for view in views
    ):
        return False
    careful = "".join(_bare(line.text) for line in written(reader, rgb).lines)
    return len(words) - _counted(words, careful) >= needed


def _counted(words: list[str], text: str) -> int:
    return sum(word in text for word in words)


def _as_large(rgb: RGB, copy: RGB) -> RGB:
    """The picture at the size of its copy, as an ordinary editor reduces it."""
    return np.asarray(Image.fromarray(rgb).resize((copy.shape[1], copy.shape[0]), Image.Resampling.BICUBIC))


def _luma(rgb: RGB) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def ssim(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Mean structural similarity of two planes of levels 0 to 255, -1 to 1.

    Source: Z. Wang and others, "Image quality assessment: from error visibility to structural similarity", 2004; with
    its 11 x 11 Gaussian window of sigma 1.5, its constants, and no border.
    """

    def smooth(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(plane, (11, 11), 1.5)[5:-5, 5:-5], dtype=np.float32)

    mean, other_mean = smooth(one), smooth(other)
    spread, other_spread = smooth(one * one) - mean**2, smooth(other * other) - other_mean**2
    together = smooth(one * other) - mean * other_mean
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * mean * other_mean + first) * (2 * together + second)
    return float((alike / ((mean**2 + other_mean**2 + first) * (spread + other_spread + second))).mean())


def run(folder: Path, labels: Sequence[dict[str, Any]], jobs: int, *, as_json: bool) -> None:
    """Print, for each set of scaling attacks, the share of copies in which no view reads the payload, and likeness."""
    # where a window of a picture is attacked, its place in the copy is not that in the label
    attacks = [label for label in labels if "target" in label and "window" not in label]
    rows: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start) as pool:
        found = pool.map(_checked, [(folder / label["file"], label) for label in attacks])
        for label, row in zip(
            attacks, track(found, "copying", len(attacks), console=Console(stderr=True)), strict=True
        ):
            rows[label["set"]].append(row)
    table = Table("set", "of", "hidden before", "gone", "95 %", "SSIM mean", "least", title="Copies by `transform`")
    summary = {}
    for name, found_rows in rows.items():
        gone = Rate(len(found_rows), sum(not after for after, _, _ in found_rows))
        before = sum(was for _, was, _ in found_rows)
        likeness = [value for _, _, value in found_rows]
        low, high = gone.interval
        mean, least = sum(likeness) / len(likeness), min(likeness)
        summary[name] = {"hidden_before": before, "gone": gone.to_dict(), "ssim_mean": mean, "ssim_least": least}
        shares = str(gone.n), str(before), f"{gone.share:.1%}", f"{low:.1%} to {high:.1%}"
        table.add_row(name, *shares, f"{mean:.4f}", f"{least:.4f}")
    if as_json:
        click.echo(json.dumps(summary))
    else:
        Console().print(table)
