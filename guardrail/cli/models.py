"""`guardrail models`: list, pull and verify the weights; turn checkpoints into models."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from guardrail.inference import known, own_folder, pull, verify
from guardrail.inference.export import Parity, export_classifier, export_clip, export_pictures, load_recipes
from guardrail.inference.manifest import Manifest
from guardrail.settings import Settings, load_settings


class _Bar:
    """A bar over all bytes to fetch on a terminal, a line a file elsewhere; on standard error either way."""

    def __init__(self, settings: Settings) -> None:
        self._console = Console(stderr=True)
        self._plain = not self._console.is_terminal
        self._bar = RichProgress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=self._console, disable=self._plain
        )
        files = [spec for manifest in known(settings).values() for spec in manifest.files]
        total = sum(spec.size for spec in files if spec.exported is None)
        self._task = self._bar.add_task("weights", total=total)
        self._moved = 0
        self._size = 0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, model: str, file: str, size: int) -> None:
        self._size, self._moved = size, 0
        self._bar.update(self._task, description=f"{model}/{file}")

    def advance(self, size: int) -> None:
        self._moved += size
        self._bar.advance(self._task, size)

    def done(self, model: str, file: str, source: str) -> None:
        self._bar.advance(self._task, max(0, self._size - self._moved))
        if self._plain:
            click.echo(f"{model}/{file}: {self._size / 1e6:.1f} MB from {source}, verified", err=True)


@click.group()
def command() -> None:
    """List, pull and verify the weights; turn checkpoints into models."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def list_(as_json: bool) -> None:
    """What each model is for, its licence, and whether it is here."""
    settings = load_settings()
    states = {state.name: state for state in verify(settings)}
    catalogue = known(settings)
    if as_json:
        rows = [
            {**asdict(states[name]), "author": item.author, "sha256": item.file().sha256, "card": item.card}
            for name, item in catalogue.items()
        ]
        click.echo(orjson.dumps(rows))
        return
    table = Table("model", "task", "state", "MB", "licence", title=str(settings.models_dir))
    for name, item in catalogue.items():
        state = states[name]
        table.add_row(name, item.task, state.state, f"{state.size / 1e6:.1f}", item.licence)
    Console().print(table)


@command.command("pull")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
def pull_(names: tuple[str, ...], as_json: bool) -> None:
    """Fetch and verify models (all by default). What is here and right is not fetched again."""
    settings = load_settings()
    with _Bar(settings) as bar:
        pull(names or None, settings, bar)
    _print(as_json, wanted=set(names))


@command.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def verify_(as_json: bool) -> None:
    """Compare every cached file with its manifest. Exit status 1 when one is missing or wrong."""
    _print(as_json, wanted=set())


@command.command("export")
@click.argument("source", required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of manifests; the data folder's.")
@click.option("--name", help="Name of the model; made from SOURCE otherwise.")
@click.option("--pretrained", metavar="TAG|FILE|random", help="Weights of an open_clip architecture.")
@click.option("--int8", is_flag=True, help="Quantise: a quarter of the size, about a third of the cost.")
@click.option(
    "--instructs", metavar="LABEL", multiple=True, help="SOURCE classifies texts; LABEL: a text instructs a machine."
)
@click.option(
    "--raises", metavar="CLASS=SIGNAL", multiple=True, help="SOURCE classifies pictures; CLASS of it raises SIGNAL."
)
@click.option(
    "--window", type=click.IntRange(8, 8192), help="Tokens a classifier reads at once; what it takes, up to 512."
)
@click.option(
    "--even", type=click.FloatRange(0.001, 0.999), default=0.5, help="Probability of LABEL or CLASS that scores 0.5."
)
@click.option("--keep-torch", is_flag=True, help="Keep the weights as safetensors too, for `clip_backend: torch`.")
@click.option("--licence", help="Licence of the weights, when no recipe says it.")
@click.option("--recipes", is_flag=True, help="List the recipes and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
def export_(
    source: str | None,
    out: Path | None,
    name: str | None,
    pretrained: str | None,
    int8: bool,
    instructs: tuple[str, ...],
    raises: tuple[str, ...],
    window: int | None,
    even: float,
    keep_torch: bool,
    licence: str | None,
    recipes: bool,
    as_json: bool,
) -> None:
    """Turn a CLIP, SigLIP or classifier checkpoint into a verified model that needs no torch to run.

    SOURCE is a recipe, an architecture of open_clip (with --pretrained), a folder with a checkpoint, `owner/name` on
    the hub (transformers), or `hf-hub:owner/name` (open_clip); with --instructs, a folder or hub id of a sequence
    classifier of transformers that tells instructions to the machine from other text; with --raises, of a classifier
    of pictures of transformers or timm. Needs the extra `export`; ends with a parity report, or with exit status 2
    when the result does not say what the checkpoint says.
    """
    if recipes or source is None:
        _list_recipes(as_json)
        return
    folder = (out or own_folder(load_settings())).resolve()
    elsewhere = f" GUARDRAIL_MANIFESTS='[\"{folder}\"]'" if out is not None else ""
    if instructs or raises:
        if instructs and raises:
            raise click.UsageError("--instructs is for texts, --raises for pictures: give one of them")
        shared: dict[str, Any] = {"name": name, "even": even, "int8": int8, "licence": licence}
        if raises:
            made, parity = export_pictures(source, folder, raises=_raised(raises), **shared)
        else:
            made, parity = export_classifier(source, folder, instructs=instructs, max_length=window, **shared)
        _report_classifier(made, parity, folder, elsewhere, as_json)
        return
    image, text, parity = export_clip(
        source,
        folder,
        pretrained=pretrained,
        name=name,
        int8=int8,
        keep_torch=keep_torch,
        licence=licence,
    )
    if as_json:
        click.echo(orjson.dumps({"models": [image.name, text.name], "folder": str(folder), **parity.to_dict()}))
        return
    _report(parity)
    click.echo(f"{folder}/{image.name}.yaml and {text.name}.yaml: {image.licence}")
    click.echo(f"to use it: GUARDRAIL_CLIP={image.name}{elsewhere}")


def _raised(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [item.rpartition("=") for item in given]
    for label, _, signal in pairs:
        if not label or not signal:
            raise click.UsageError("--raises wants CLASS=SIGNAL, such as nsfw=sexual.explicit")
    return {label: signal for label, _, signal in pairs}


def _report_classifier(made: Manifest, parity: Parity, folder: Path, elsewhere: str, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"models": [made.name], "folder": str(folder), **parity.to_dict()}))
        return
    far = "; ".join(f"{part} {error:.1e}" for part, error in parity.error.items())
    what = "a short text" if made.classifier is None else "a picture"
    click.echo(f"largest differences to torch: {far}; {parity.cpu_ms['classifier']:.1f} ms CPU for {what}")
    click.echo(f"{folder}/{made.name}.yaml: {made.licence}")
    if made.classifier is None:
        click.echo(f"to use it: GUARDRAIL_INSTRUCTION_MODELS='[\"{made.name}\"]'{elsewhere}")
    else:
        click.echo(f"every guard of this machine uses it from now on{elsewhere and ', with' + elsewhere}")


def _list_recipes(as_json: bool) -> None:
    found = load_recipes()
    if as_json:
        click.echo(orjson.dumps([recipe.model_dump() for recipe in found.values()]))
        return
    table = Table("recipe", "weights", "licence", "about")
    for recipe in found.values():
        table.add_row(recipe.name, f"{recipe.architecture}, {recipe.pretrained}", recipe.licence, recipe.card)
    Console().print(table)


def _report(parity: Parity) -> None:
    table = Table("tower", "largest error, fp32", "smallest cosine, int8", "CPU ms at batch 1")
    for part, error in parity.error.items():
        cosine = f"{parity.cosine[part]:.4f}" if part in parity.cosine else "-"
        table.add_row(part, f"{error:.1e}", cosine, f"{parity.cpu_ms[part]:.1f}")
    Console().print(table)
    fed = "not compared" if parity.preprocessing is None else f"{parity.preprocessing:.1e}"
    wrong, texts = parity.tokens
    click.echo(f"preprocessing differs by {fed}; tokens differ in {wrong} of {texts} texts; {parity.seconds:g} s")


def _print(as_json: bool, *, wanted: set[str]) -> None:
    states = [state for state in verify(load_settings()) if not wanted or state.name in wanted]
    good = all(state.state == "ok" for state in states)
    if as_json:
        click.echo(orjson.dumps({"ok": good, "models": [asdict(state) for state in states]}))
    else:
        for state in states:
            click.echo(f"{state.state:8} {state.name:20} {state.size / 1e6:7.1f} MB  {state.detail}".rstrip())
    sys.exit(0 if good else 1)
