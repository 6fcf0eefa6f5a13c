"""The admin side: health, readiness, version, metrics, and what a token opens: policy, models, decisions, lists."""

from __future__ import annotations

import hmac
import re
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import SecretStr
from starlette.exceptions import HTTPException as StarletteHTTPException

from guardrail.errors import InputError, RecordError
from guardrail.guard import Guard
from guardrail.settings import Settings
from guardrail.sidecar import replies
from guardrail.sidecar.metrics import Metrics
from guardrail.sidecar.names import names_routes
from guardrail.sidecar.readiness import Readiness
from guardrail.sidecar.takedowns import takedown_routes

FLUSH_SECONDS = 5.0
"""How long a look at a decision waits for the log to be written."""

_DECISION = re.compile(r"[0-9A-Z]{26}")


def create_admin(guard: Guard, settings: Settings, metrics: Metrics, readiness: Readiness) -> FastAPI:
    """The admin app. Without `settings.server.admin_token` everything under /admin is closed.

    Args:
        guard: whose policy, models and decisions are shown.
        settings: holds the token.
        metrics, readiness: what /metrics and /readyz show.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, title="guardrail")
    app.include_router(_state(guard, metrics, readiness))
    guarded = [Depends(_token_check(settings.server.admin_token))]
    app.include_router(_insight(guard), dependencies=guarded)
    app.include_router(names_routes(settings), dependencies=guarded)
    app.include_router(takedown_routes(settings), dependencies=guarded)
    app.add_exception_handler(StarletteHTTPException, _closed)
    app.add_exception_handler(RecordError, _unreadable)
    app.add_exception_handler(RequestValidationError, _misspelt)
    app.add_exception_handler(InputError, _refused)
    return app


def _state(guard: Guard, metrics: Metrics, readiness: Readiness) -> APIRouter:
    """What an orchestrator asks, without a token."""
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        return JSONResponse(readiness.report(), status_code=200 if readiness.ready else 503)

    @routes.get("/version")
    async def shown_version() -> dict[str, Any]:
        policy = guard.policy.ref
        return {"guardrail": version("guardrail"), "policy": {"name": policy.name, "version": policy.version}}

    @routes.get("/metrics")
    async def shown_metrics() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _insight(guard: Guard) -> APIRouter:
    """What an operator asks, with a token."""
    routes = APIRouter(prefix="/admin")

    @routes.get("/policy")
    async def policy() -> dict[str, Any]:
        ref = guard.policy.ref
        return {
            "name": ref.name,
            "version": ref.version,
            "digest": ref.digest,
            "on_error": guard.policy.on_error.value,
            "on_partial": guard.policy.on_partial,
        }

    @routes.get("/models")
    def models() -> dict[str, Any]:
        return {
            "detectors": [
                {
                    "name": item.name,
                    "stages": sorted(stage.value for stage in item.stages),
                    "emits": sorted(item.emits),
                    "models": {name: guard.models.digest(name) for name in item.models},
                }
                for item in guard.active_detectors()
            ]
        }

    @routes.get("/decisions/{decision}")
    def one_decision(decision: str) -> dict[str, Any]:
        if guard.log is None or not _DECISION.fullmatch(decision):
            raise HTTPException(404)
        guard.log.flush(FLUSH_SECONDS)
        found = guard.log.get(decision)
        if found is None:
            raise HTTPException(404)
        return dict(found.verdict)

    return routes


def _token_check(token: SecretStr | None) -> Any:
    def check(authorization: Annotated[str, Header()] = "") -> None:
        if token is None or not token.get_secret_value():
            raise HTTPException(404)
        wanted = f"Bearer {token.get_secret_value()}".encode()
        if not hmac.compare_digest(authorization.encode(), wanted):
            raise HTTPException(401, headers={"www-authenticate": "Bearer"})

    return check


async def _closed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    reply = replies.no_route()
    if error.status_code == 401:
        reply = replies.error(401, "admin_token", "A valid admin token is needed.")
    elif error.status_code == 405:
        reply = replies.error(405, "method_not_allowed", "This route does not know this method.")
    return Response(reply.body, error.status_code, headers=error.headers, media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InputError)
    reply = replies.of_error(error)
    return Response(reply.body, reply.status, media_type="application/json")


async def _misspelt(_request: Request, error: Exception) -> Response:
    # the framework's own answer would quote what was sent
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1]) if first["loc"][0] == "query" else "body"
    reply = replies.error(400, "invalid_request", f"The value of {name} is out of range or of the wrong kind.")
    return Response(reply.body, reply.status, media_type="application/json")


async def _unreadable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RecordError)
    reply = replies.error(503, error.code, "The decisions cannot be read.", kind="server_error")
    return Response(reply.body, reply.status, media_type="application/json")
