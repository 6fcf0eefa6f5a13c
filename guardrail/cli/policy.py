"""`guardrail policy`: lint and test policies, try their concepts, print the schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from guardrail.cli import _pictured
from guardrail.evaluation.concepts import concept_scores, read_prompts
from guardrail.policy import Finding, SuiteReport, json_schema, lint, load_policy, run_suite
from guardrail.policy.source import locate

_SHOWN = 100
_COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}


@click.group()
def command() -> None:
    """Lint and test policies."""


@command.command("lint")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def lint_(files: tuple[str, ...], as_json: bool) -> None:
    """Check policy files, or shipped policies by name.

    Exit status: 0 every file loads (there may be warnings), 1 one does not.
    """
    found = {file: lint(file) for file in files}
    failed = any(item.level == "error" for items in found.values() for item in items)
    if as_json:
        data = [{"file": file, "findings": [item.to_dict() for item in items]} for file, items in found.items()]
        click.echo(json.dumps({"passed": not failed, "files": data}))
    else:
        for file, items in found.items():
            _print_findings(file, items)
    sys.exit(1 if failed else 0)


@command.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def test(files: tuple[str, ...], as_json: bool) -> None:
    """Run the tests of policy files, or of files that hold tests only.

    Exit status: 0 all pass, 1 one fails, 2 a file cannot be run.
    """
    reports = [run_suite(locate(file)) for file in files]
    failed = any(report.failures for report in reports)
    if as_json:
        click.echo(json.dumps({"passed": not failed, "files": [report.to_dict() for report in reports]}))
    else:
        for report in reports:
            _print_report(report)
    sys.exit(1 if failed else 0)


@command.command("schema")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of policy files, for editors."""
    text = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    if out is None:
        click.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


@command.command("try-concept")
@click.argument("policy", metavar="POLICY")
@click.argument("concept", metavar="CONCEPT")
@click.argument("prompts", type=click.Path(exists=True, path_type=Path), metavar="PROMPTS|FOLDER")
@click.option("--at", default=0.5, type=click.FloatRange(0, 1), show_default=True, help="Score that counts as caught.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def try_concept(policy: str, concept: str, prompts: Path, at: float, as_json: bool) -> None:
    """Show what a concept of a policy would catch in a file of prompts or a folder of pictures, the surest first.

    PROMPTS holds one prompt a line, or JSON lines with a field "text". Your prompts are shown, not kept. Pictures need
    the setting `clip`.
    """
    if prompts.is_dir():
        _pictured.try_concept(policy, concept, prompts, at, as_json=as_json)
        return
    found = concept_scores(load_policy(policy), concept, read_prompts(prompts))
    caught = sorted((item for item in found if item.score >= at), key=lambda item: -item.score)
    if as_json:
        data = [{"line": item.line, "score": round(item.score, 4)} for item in found]
        click.echo(
            json.dumps({"concept": concept, "at": at, "prompts": len(found), "caught": len(caught), "scores": data})
        )
        return
    for item in caught:
        click.echo(f"{item.score:.2f}  line {item.line}: {item.text[:_SHOWN]}")
    click.echo(f"{len(caught)} of {len(found)} prompts score {at:g} or more for {concept!r}")


@command.command("calibrate-concepts")
@click.argument("policy", metavar="POLICY")
@click.argument("benign", type=click.Path(exists=True, path_type=Path), metavar="FOLDER|SET.jsonl")
@click.option("--alarms", type=click.FloatRange(0, 0.5, min_open=True), help="Share that may alarm; the policy's own.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; printed otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
def calibrate_concepts(policy: str, benign: Path, alarms: float | None, out: Path | None, as_json: bool) -> None:
    """Set the scale of a policy's picture concepts on pictures that must not alarm.

    Then name the file under `calibration` in the policy. It holds for one CLIP (the setting `clip`) and one wording;
    the guard refuses to start with a stale one. The larger and the more like your traffic the pictures are, the better:
    at least three of them must be allowed to alarm.
    """
    _pictured.calibrate(policy, benign, alarms, out, as_json=as_json)


def _print_findings(file: str, findings: tuple[Finding, ...]) -> None:
    for item in findings:
        place = f"{item.file}:{item.line}: " if item.line else f"{item.file}: "
        message = item.message.removeprefix(place)
        click.echo(f"{place}{click.style(item.level, fg=_COLOURS[item.level])}: {message}")
    if all(item.level != "error" for item in findings):
        click.echo(f"{file}: loads, {len(findings)} remarks")


def _print_report(report: SuiteReport) -> None:
    for failure in report.failures:
        place = f"{report.file}:{failure.line}" if failure.line else report.file
        click.echo(f"{place}: {failure.test}")
        click.echo(click.style(f"  - expected {failure.expected}", fg="red"))
        click.echo(click.style(f"  + got      {failure.got}", fg="green"))
    total = report.passed + len(report.failures)
    click.echo(f"{report.file}: policy {report.policy}, {report.passed} of {total} passed")
