"""`guardrail check`: judge one prompt and its pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from guardrail.errors import ConfigurationError
from guardrail.guard import Guard
from guardrail.settings import load_settings
from guardrail.signals import GenerationRequest, Picture, Prompt, Role
from guardrail.taxonomy import Stage
from guardrail.verdict import Verdict


@click.command()
@click.option("--prompt", help='The text to judge; "-" reads it from standard input.')
@click.option("--negative", default="", help="The negative prompt.")
@click.option("--image", "images", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--upload",
    "uploads",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What an edit began with; --image is then what came back.",
)
@click.option("--mask", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The mask of an edit.")
@click.option("--stage", type=click.Choice([stage.value for stage in Stage]), help="What the pictures are.")
@click.option("--policy", default=None, help="A shipped policy or a policy file.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="A settings file.")
@click.option("--record", is_flag=True, help="Write the decision to the data folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(
    prompt: str | None,
    negative: str,
    images: tuple[Path, ...],
    uploads: tuple[Path, ...],
    mask: Path | None,
    stage: str | None,
    policy: str | None,
    config: str | None,
    record: bool,
    as_json: bool,
) -> None:
    """Judge one prompt and its pictures.

    With a prompt alone, the prompt is judged. With pictures alone they are taken as a generator's outputs, with both
    as an edit's uploads; --stage says otherwise. A whole edit is --upload FILE, perhaps with --mask and --prompt, and
    what came back as --image: every stage is judged, also after one that would have stopped it. Exit status: 0
    released, 1 not released, 2 error.
    """
    if prompt is None and not images and not uploads:
        raise click.UsageError("give --prompt, --image, --upload or several of them")
    if stage and uploads:
        raise click.UsageError("--stage does not go with --upload: uploads are inputs, and --image is an output then")
    text = sys.stdin.read() if prompt == "-" else prompt
    where = Stage(stage) if stage else Stage.INPUT if text and not uploads else Stage.OUTPUT
    if images and where is Stage.PROMPT:
        raise ConfigurationError("--stage prompt does not go with --image", advice="Use --stage input or output.")
    sent = (*uploads, *(images if where is Stage.INPUT else ()))
    if mask is not None and not sent:
        raise click.UsageError("--mask needs the picture that it lies over: give --upload")
    pictures = [Picture(path.read_bytes()) for path in sent]
    pictures += [Picture(mask.read_bytes(), Role.MASK, "mask")] if mask is not None else []
    prompts = (Prompt(text, negative),) if text is not None else ()
    request = GenerationRequest(prompts, tuple(pictures), "edit" if pictures else "generate")
    outputs = [path.read_bytes() for path in images] if where is Stage.OUTPUT else []
    settings = load_settings(config, record=record)
    with Guard.from_policy(policy or settings.policy, settings=settings) as guard:
        verdicts = _judge(guard, request, outputs)
    if as_json:
        released = all(verdict.released for verdict in verdicts)
        click.echo(orjson.dumps({"released": released, "verdicts": [verdict.to_dict() for verdict in verdicts]}))
    else:
        _print(verdicts)
    sys.exit(0 if all(verdict.released for verdict in verdicts) else 1)


def _judge(guard: Guard, request: GenerationRequest, outputs: list[bytes]) -> list[Verdict]:
    verdicts = [guard.check_prompt_sync(request)] if request.prompts else []
    if request.uploads:
        verdicts.append(guard.check_inputs_sync(request, verdicts))
    if outputs:
        verdicts.extend(guard.check_outputs_sync(request, outputs, list(verdicts)))
    return verdicts


def _print(verdicts: list[Verdict]) -> None:
    table = Table("stage", "verdict", "rule", "why", "signals", "ms")
    for verdict in verdicts:
        raised = ", ".join(f"{name} {score:.2f}" for name, score in sorted(verdict.scores.items()) if score >= 0.3)
        why = "; ".join(reason.message for reason in verdict.reasons if reason.mode != "shadow")
        total = f"{verdict.timings_ms['total']:.1f}"
        table.add_row(verdict.stage.value, verdict.action.value, verdict.rule or "", why, raised, total)
    console = Console()
    console.print(table)
    for verdict in verdicts:
        for skip in verdict.coverage.skipped:
            console.print(f"  {verdict.stage.value}: not inspected: {skip.what} ({skip.why})", style="dim")
