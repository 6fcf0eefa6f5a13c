"""`guardrail bench`: the figures of docs/PERFORMANCE.md, measured on this machine."""

from __future__ import annotations

import functools
import io
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson
from PIL import Image
from rich.console import Console
from rich.table import Table

from guardrail.cli import _bench_faces, _bench_fingerprints, _bench_hidden, _bench_structure
from guardrail.cli._bench_pictures import pictures
from guardrail.cli.serve import keep_freed_memory
from guardrail.detector import DetectorContext, build
from guardrail.guard import Guard
from guardrail.inference import ModelStore
from guardrail.policy import load_policy
from guardrail.records import LocalRegistry
from guardrail.settings import Settings, load_settings
from guardrail.signals import GenerationRequest, Picture

_TEXT = (
    "a quiet harbour at dawn with wooden boats, soft mist over the water, gulls on the pier, a lighthouse far "
    "away, warm light on red roofs, cobbled street, flower pots, an old bicycle against a wall, oil painting, "
    "loose brush strokes, muted palette, high detail, wide angle, gentle reflections, morning market, baskets of "
    "lemons and bread, a cat on a window sill, linen curtains, blue shutters, thin clouds, distant hills, calm "
    "mood, balanced composition, soft shadows"
)
_RULE_DETECTORS = frozenset({"text.lexicon", "text.people"})


_LOOK_ALIKES = str.maketrans("aceopx", "\u0430\u0441\u0435\u043e\u0440\u0445")
_INVISIBLE, _MARK = "\u200b", "\u0336"
_CURVE = (2_000, 8_000, 32_000)


@click.group()
def command() -> None:
    """Measure speed and memory on this machine."""


command.add_command(pictures)


@command.command()
@click.option("--names", default=50_000, show_default=True, help="extra names on the operator's list")
@click.option("--rules", default=300, show_default=True, help="pattern rules in the policy")
@click.option("--runs", default=300, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def text(names: int, rules: int, runs: int, as_json: bool) -> None:
    """Prompt checks with and without learned heads; a repeat, hostile Unicode, the curve to 32,000 characters."""
    keep_freed_memory()
    settings = load_settings(record=False)
    rows: dict[str, dict[str, float]] = {}
    policy = load_policy(_bench_policy(settings, rules))
    parameters = {"people": invented_people(names)}
    context = DetectorContext(settings, ModelStore(settings), LocalRegistry(settings), parameters)
    for label, only in (("rules", _RULE_DETECTORS), ("rules and learned heads", None)):
        detectors = [item for item in build(context, only=only) if item.name.startswith("text.")]
        with Guard.from_policy(policy, settings=settings, detectors=detectors) as guard:
            for length in (10, 77, 400):
                prompts = [benign_prompt(length, number) for number in range(runs)]
                rows[f"{label}, {length} words"] = _timed([_checked(guard, prompt) for prompt in prompts])
            rows[f"{label}, 77 words, repeated"] = _timed([_checked(guard, benign_prompt(77, 0))] * runs)
            if only is not None:
                prompts = [hostile(benign_prompt(400, number)) for number in range(runs)]
                rows[f"{label}, 400 words, hostile Unicode"] = _timed([_checked(guard, prompt) for prompt in prompts])
                for size in _CURVE:
                    prompts = [benign_prompt(size // 5, number)[:size] for number in range(max(10, runs // 10))]
                    rows[f"{label}, {size} characters"] = _timed([_checked(guard, prompt) for prompt in prompts])
    _report(rows, as_json)


@command.command()
@click.option("--runs", default=15, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def output(runs: int, as_json: bool) -> None:
    """Output checks of a 1024x1024 picture with one face (a public-domain portrait), by format, and with four of it."""
    keep_freed_memory()
    settings = load_settings(record=False)
    portrait = ModelStore(settings).file("sample-portraits", "astronaut.png")
    image = Image.open(portrait).convert("RGB").resize((1024, 1024), Image.Resampling.LANCZOS)
    four = Image.new("RGB", image.size)
    for corner in ((0, 0), (512, 0), (0, 512), (512, 512)):
        four.paste(image.resize((512, 512), Image.Resampling.LANCZOS), corner)
    rows: dict[str, dict[str, float]] = {}
    with Guard.from_policy(settings=settings) as guard:
        for picture, format, faces in (
            (image, "JPEG", "one face"),
            (image, "PNG", "one face"),
            (image, "WEBP", "one face"),
            (four, "JPEG", "four faces"),
        ):
            data = io.BytesIO()
            picture.save(data, format, quality=90)
            run = _output(guard, data.getvalue())
            run()
            rows[f"1024x1024 {format}, {faces}"] = _timed([run] * runs)
    _report(rows, as_json)


@command.command()
@click.option("--runs", default=15, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def upload(runs: int, as_json: bool) -> None:
    """Input checks of a 1024x1024 upload (a public-domain portrait), and output checks of edits of it."""
    keep_freed_memory()
    settings = load_settings(record=False)
    portrait = ModelStore(settings).file("sample-portraits", "astronaut.png")
    image = Image.open(portrait).convert("RGB").resize((1024, 1024), Image.Resampling.LANCZOS)
    rows: dict[str, dict[str, float]] = {}
    with Guard.from_policy(settings=settings) as guard:
        for format in ("JPEG", "PNG"):
            # an upload that was seen before is remembered, so each run has another one
            uploads = [_upload(image, format, number) for number in range(runs + 1)]
            edited = _encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), format)
            rows[f"{format}, edit of an upload never seen"] = _timed(
                [functools.partial(guard.check_outputs_sync, item, [edited]) for item in uploads[:runs]], warm=0
            )
            rows[f"{format}, input"] = _timed([functools.partial(guard.check_inputs_sync, uploads[-1])] * runs)
            rows[f"{format}, edit of an upload seen before"] = _timed(
                [functools.partial(guard.check_outputs_sync, uploads[-1], [edited])] * runs
            )
    _report(rows, as_json)


@command.command()
@click.option("--runs", default=15, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def structure(runs: int, as_json: bool) -> None:
    """What files of a 1024x1024 picture say beside what they show, by format: container, hidden planes, low bits."""
    keep_freed_memory()
    portrait = ModelStore(load_settings(record=False)).file("sample-portraits", "astronaut.png")
    image = Image.open(portrait).convert("RGB").resize((1024, 1024), Image.Resampling.LANCZOS)
    rows = _bench_structure.measured(image, runs)
    if as_json:
        click.echo(orjson.dumps({"machine": _machine(), "rows": rows}))
        return
    names = ("container", "planes", "low_bits", "sum", "pixels")
    table = Table("format", *(f"{name.replace('_', ' ')} ms" for name in names), title=_machine())
    for label, row in rows.items():
        table.add_row(label, *(f"{row[f'{name}_ms']:.2f}" for name in names))
    Console().print(table)


@command.command()
@click.option("--half", default="blind", show_default=True, type=click.Choice(["train", "blind"]))
@click.option("--seed", default=7, show_default=True)
@click.option("--count", "counts", multiple=True, metavar="SET=N", help="Only these sets, so many; the whole corpus.")
@click.option("--policy", default="default", show_default=True)
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the corpus and verdicts; go on from there."
)
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--resample", is_flag=True, help="Instead: whether copies by `transform` still show what attacks hide.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def hidden(
    half: str,
    seed: int,
    counts: tuple[str, ...],
    policy: str,
    keep: Path | None,
    jobs: int,
    resample: bool,
    as_json: bool,
) -> None:
    """A fresh corpus of pictures with hidden instructions, and of harmless ones: how many are held.

    The halves have other covers, sentences and seeds: tune on train, measure on blind. The whole corpus has 1,790
    pictures and takes about an hour of two cores; what was interrupted goes on with --keep. The corpus is made by the
    attack kit of a checkout.
    """
    wanted = {}
    for item in counts:
        name, _, number = item.partition("=")
        if not number.isdecimal():
            raise click.BadParameter(f"{item!r} is not SET=N")
        wanted[name] = int(number)
    _bench_hidden.run(half, seed, wanted, policy, keep, jobs=jobs, resample=resample, as_json=as_json)


@command.command()
@click.option(
    "--set",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with neardup.py and pictures.jsonl: how many edits are found, and which different pictures match.",
)
@click.option(
    "--half", type=click.Choice(["even", "odd"]), help="Only every other original: tune on one, check on one."
)
@click.option("--size", type=click.IntRange(1, 100_000_000), help="So many random hashes: milliseconds, bytes, recall.")
@click.option("--runs", default=300, show_default=True, type=click.IntRange(10, 100_000), help="Searches of --size.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def fingerprints(folder: Path | None, half: str | None, size: int | None, runs: int, as_json: bool) -> None:
    """Near-duplicates found and false matches of a set of pictures, or the search among many hashes."""
    if (folder is None) == (size is None):
        raise click.UsageError("give --set or --size")
    keep_freed_memory()
    if folder is not None:
        _bench_fingerprints.run_set(folder, half, _machine, as_json=as_json)
    else:
        _bench_fingerprints.run_size(size or 0, runs, _machine, as_json=as_json)


@command.command()
@click.option(
    "--pairs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with the columns a, b (pictures beside it) and same (1 or 0).",
)
@click.option("--people", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000), help="Enrolled beside.")
@click.option("--every", default=4, show_default=True, type=click.IntRange(0), help="Disguise each n-th; 0 for none.")
@click.option("--search", default=0, type=click.IntRange(0, 5_000_000), help="Search among so many synthetic people.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def faces(pairs: Path | None, people: int, every: int, search: int, as_json: bool) -> None:
    """Faces in labelled pairs of portraits of your own: verification, identification, disguises, cost; search speed."""
    if pairs is None and not search:
        raise click.UsageError("give --pairs, --search, or both")
    keep_freed_memory()
    _bench_faces.run(pairs, people, every, search, as_json=as_json)


@command.command()
@click.option("--set", "path", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--most", default=50, show_default=True, type=click.IntRange(1), help="Pictures of each category.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def edits(path: Path, most: int, as_json: bool) -> None:
    """Edits of a labelled set of pictures: how often `edit.exposure_delta` tells a figure that is uncovered.

    Rows labelled `block` are covered with a drawn cloth and uncovered again; the others get a new background or another
    light. A row of SET: {"id", "image" (path beside the set), "stage", "label", "category"}.
    """
    keep_freed_memory()
    _bench_faces.run_edits(path, most, as_json=as_json)


@command.command()
@click.option("--json", "as_json", is_flag=True)
def start(as_json: bool) -> None:
    """Cold start until canaries pass, and resident memory then, in a process of its own."""
    code = (
        "import asyncio, resource, time; begun = time.perf_counter()\n"
        "from guardrail.guard import Guard\n"
        "from guardrail.settings import load_settings\n"
        "guard = Guard.from_policy(settings=load_settings(record=False))\n"
        "loaded = time.perf_counter() - begun\n"
        "assert all(canary.passed for canary in asyncio.run(guard.canaries()))\n"
        "print(loaded, time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
        "guard.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded, ready, megabytes = (float(part) for part in done.stdout.split())
    found = {"loaded_s": loaded, "canaries_passed_s": ready, "peak_rss_mb": megabytes}
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        click.echo(f"{_machine()}\nloaded {loaded:.2f} s, canaries passed {ready:.2f} s, peak RSS {megabytes:.0f} MB")


def _checked(guard: Guard, prompt: str) -> Callable[[], object]:
    return lambda: guard.check_prompt_sync(prompt)


def _upload(image: Image.Image, format: str, number: int) -> GenerationRequest:
    """A request with the picture, one pixel of which differs from number to number."""
    numbered = image.copy()
    numbered.putpixel((0, 0), (number % 256, 0, 0))
    return GenerationRequest(uploads=(Picture(_encoded(numbered, format)),), operation="edit")


def _encoded(image: Image.Image, format: str) -> bytes:
    data = io.BytesIO()
    image.save(data, format, quality=95)
    return data.getvalue()


def _output(guard: Guard, data: bytes) -> Callable[[], object]:
    request = GenerationRequest()
    return lambda: guard.check_outputs_sync(request, [data])


def _timed(runs: list[Callable[[], Any]], warm: int = 3) -> dict[str, float]:
    """Wall and process CPU milliseconds of each run, after `warm` or more of them that are not counted."""
    wall, cpu = [], []
    for run in runs[: max(warm, len(runs) // 10) if warm else 0]:
        run()
    for run in runs:
        begun, used = time.perf_counter(), time.process_time()
        run()
        wall.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    ranked = sorted(wall)
    return {
        "p50_ms": statistics.median(wall),
        "p99_ms": ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))],
        "cpu_ms": statistics.median(cpu),
    }


def benign_prompt(length: int, number: int) -> str:
    """A harmless prompt of `length` words; every `number` gives another one."""
    known = _TEXT.split()
    words = [known[(number * 31 + position) % len(known)] for position in range(length - 1)]
    return " ".join([*words, f"seed{number}"])


def hostile(text: str) -> str:
    """The same words in look-alike letters, with invisible characters and marks inside them."""
    words = text.translate(_LOOK_ALIKES).split()
    return " ".join(_INVISIBLE.join(word) if at % 2 else _MARK.join(word) for at, word in enumerate(words))


def invented_name(number: int) -> str:
    """A pronounceable name of nobody; names repeat every 65,536 numbers."""
    syllables = ("ba", "ko", "li", "mu", "ne", "ri", "sa", "to", "vi", "zu", "dra", "fel", "gor", "hin", "jas", "wem")
    return "".join(syllables[(number >> shift) % 16] for shift in (0, 4, 8, 12)).capitalize()


def invented_people(count: int) -> list[str]:
    """`count` names of three words, of nobody."""
    return [f"{invented_name(n)} {invented_name(n * 7 + 3)} {invented_name(n + 9)}" for n in range(count)]


def invented_pattern(number: int) -> str:
    """A regular expression with an alternative and a counted class, which no `benign_prompt` matches."""
    return f"{invented_name(number * 13)} (?:{invented_name(number)}|{invented_name(number + 5)})[a-z]{{2,8}}"


def _bench_policy(settings: Settings, rules: int) -> Path:
    read = (
        "sexual.explicit",
        "sexual.nudity",
        "sexual.undress",
        "person.named",
        "injection.instruction",
        "harm.graphic",
    )
    lines = ["schema: guardrail/v1", "name: bench", "version: '1'", "rules:"]
    for name in read:
        lines.append(
            f"  - {{id: {name.replace('.', '-')}, stage: prompt, when: {name} >= 0.5, then: block, message: m}}"
        )
    for number in range(rules):
        lines += [
            f"  - id: bench-{number}",
            "    stage: prompt",
            f"    pattern: '{invented_pattern(number)}'",
            "    then: flag",
            "    message: a pattern of the benchmark",
        ]
    path = settings.data_dir / "bench" / "policy.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def processors() -> str:
    """Number and model of this machine's processors, such as "2 x AMD EPYC"."""
    model = Path("/proc/cpuinfo")
    if model.exists():
        names = [line.split(":")[1].strip() for line in model.read_text().splitlines() if line.startswith("model name")]
        if names:
            return f"{len(names)} x {names[0]}"
    return platform.processor() or platform.machine()


def _machine() -> str:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    today = datetime.now(UTC).date().isoformat()
    return f"{today}, {processors()}, Python {platform.python_version()}, this process peaked at {peak:.0f} MB"


def _report(rows: dict[str, dict[str, float]], as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"machine": _machine(), "rows": rows}))
        return
    table = Table("what", "p50 ms", "p99 ms", "CPU ms", title=_machine())
    for label, row in rows.items():
        table.add_row(label, f"{row['p50_ms']:.3f}", f"{row['p99_ms']:.3f}", f"{row['cpu_ms']:.3f}")
    Console().print(table)
