"""`guardrail serve`: the sidecar in front of a generator."""

from __future__ import annotations

import ctypes
import logging
import signal
import socket
import sys
from typing import Any

import click
import uvicorn

from guardrail.errors import ConfigurationError
from guardrail.guard import Guard
from guardrail.inference.store import load_runtime
from guardrail.settings import load_settings
from guardrail.sidecar import create_app
from guardrail.sidecar.upstream import base_url

DRAIN_SECONDS = 30
"""How long requests under way may take to finish after a signal to stop."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


@click.command()
@click.option("--upstream", help="Base URL of the generator, without a trailing /v1.")
@click.option("--dialect", default="openai", show_default=True, type=click.Choice(["openai"]))
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--policy", help="A shipped policy or a policy file.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="A settings file.")
def command(
    upstream: str | None, dialect: str, host: str | None, port: int | None, policy: str | None, config: str | None
) -> None:
    """Stand in front of a generator until stopped.

    Nothing is served before every canary of the guard came out right; /readyz says how far it is. One JSON line a
    request goes to standard error: route, status, decision and milliseconds, never content. Exit status 2 when
    something is missing, with the command that mends it.
    """
    given = {"upstream": upstream, "host": host, "port": port}
    server: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    overrides: dict[str, Any] = {"server": server} if server else {}
    if policy is not None:
        overrides["policy"] = policy
    settings = load_settings(config, **overrides)
    base_url(settings.server.upstream)
    with Guard.from_policy(settings.policy, settings=settings) as guard:
        app = create_app(guard, settings, dialect=dialect)
        _need_models(guard)
        _leave_orderly()
        keep_freed_memory()
        with _listen(settings.server.host, settings.server.port) as listener:
            _log_to_stderr()
            where = f"http://{settings.server.host}:{listener.getsockname()[1]}"
            click.echo(
                f"guardrail: {where} in front of {settings.server.upstream}, policy {guard.policy.ref.name}", err=True
            )
            uvicorn.Server(
                uvicorn.Config(
                    app,
                    access_log=False,
                    log_config=None,
                    server_header=False,
                    ws="none",
                    lifespan="on",
                    timeout_graceful_shutdown=DRAIN_SECONDS,
                )
            ).run(sockets=[listener])


def _need_models(guard: Guard) -> None:
    """Fail now, not at the first request, when a detector that the policy needs has no runtime or no weights."""
    needed = {name for detector in guard.active_detectors() for name in detector.models}
    if needed:
        load_runtime()
    for name in sorted(needed):
        guard.models.file(name)


def _leave_orderly() -> None:
    """uvicorn raises a signal to stop once more after it has stopped; that must not skip closing the guard."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MB of freed memory for the next picture; does nothing elsewhere.

    Each picture is decoded into arrays of megabytes. By default glibc hands them back to the kernel at once, and the
    page faults of getting them again cost more CPU than decoding a JPEG does (loadtests/overhead.py shows it).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
    mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}", advice="Choose another --host or --port."
        ) from error


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name, level in (("guardrail.access", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False
    # Its warnings quote bytes of the body.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
