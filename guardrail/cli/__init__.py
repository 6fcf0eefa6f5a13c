"""The command line: one module a verb, gathered lazily so that `guardrail --help` stays fast."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from guardrail.errors import GuardrailError

_VERBS = {
    "bench": "measure speed and memory on this machine",
    "check": "judge one prompt and its pictures",
    "demo": "the whole way on this machine: sidecar, stub generator, sample requests, a table",
    "eval": "run a labelled set and print the metrics",
    "models": "list, pull and verify the weights, export checkpoints",
    "names": "list people by name, one or a CSV file, whom prompts must not mean",
    "people": "enrol, list and erase protected people",
    "policy": "lint and test policies",
    "serve": "the sidecar in front of a generator",
    "takedown": "add, list and remove fingerprints that must never be released",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command = import_module(f"guardrail.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="guardrail")
def cli() -> None:
    """The guard in front of image generators."""


def main() -> None:
    """Entry point of the `guardrail` command: typed errors become two lines and exit status 2."""
    try:
        cli(standalone_mode=True)
    except GuardrailError as error:
        click.echo(f"error: {error.diagnostics()}", err=True)
        sys.exit(2)
