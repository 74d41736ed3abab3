"""Middleware for all requests: request id, bearer token, load shedding, one answer whatever happens, and a log line."""

import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.metrics import Metrics
from keras_s2s.serving.service import Service

logger = logging.getLogger("keras_s2s.serving")

_PAGES = ("/", "/page.css", "/page.js", "/docs", "/docs.js", "/swagger-ui.css", "/swagger-ui-bundle.js")
OPEN = (*_PAGES, "/openapi.json", "/v2/health/live", "/v2/health/ready")
"""Paths that need no token: they tell nothing of the models."""
CLIENT_GONE = 499
_ID = re.compile(r"[\w.:-]{1,128}")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class RequestMiddleware:
    """ASGI middleware around the whole application.

    Args:
        app: the application.
        token: without it, as a bearer token, requests are refused; None takes all.
        metrics: is told of each answer.
        costly: routes whose requests are refused when too much waits, before anything of them is read: there may be
            very many.
    """

    def __init__(self, app: ASGIApp, token: str | None, metrics: Metrics, costly: Sequence[BaseRoute]) -> None:
        self._app, self._token, self._metrics, self._costly = app, token, metrics, costly

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(16)
        facts: dict[str, Any] = {}
        scope.setdefault("state", {})["facts"] = facts
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["x-request-id"] = request_id
                for name, value in _HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        try:
            if self._is_refused(scope["path"], headers):
                self._costly_parts(scope)
                await _answer(noting, 401, "a bearer token is needed", {"www-authenticate": "Bearer"})
            elif problem := self._overload(scope):
                await _answer(noting, problem.status, problem.message, problem.headers)
            else:
                await self._app(scope, receive, noting)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception:
            logger.exception("unexpected", extra={"facts": {"request_id": request_id}})
            if not status:
                await _answer(noting, 500, f"something unexpected; the log tells more under {request_id}")
        finally:
            end = time.perf_counter()
            seconds = end - begin
            self._metrics.answered(getattr(scope.get("route"), "path", "other"), status, seconds)
            _count(scope["state"], status, begin, end)
            told = {"request_id": request_id, "method": scope["method"], "path": scope["path"][:200], "status": status}
            logger.info("request", extra={"facts": told | {"milliseconds": round(1000 * seconds, 2)} | facts})

    def _overload(self, scope: Scope) -> HTTPProblem | None:
        """Why a request is refused unread because too much waits, if it is."""
        service: Service = scope["app"].state.service
        if not (problem := service.overload()) or (parts := self._costly_parts(scope)) is None:
            return None
        if "name" in parts:
            try:
                scope["state"]["model"] = service.models.find(parts["name"])
            except HTTPProblem:
                return None  # Its route refuses it, unread too.
        return problem

    def _costly_parts(self, scope: Scope) -> dict[str, Any] | None:
        """The parts of the path of a costly request, None for others; notes its route, as the router would."""
        for route in self._costly:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope["route"] = route
                parts: dict[str, Any] = found["path_params"]
                return parts
        return None

    def _is_refused(self, path: str, headers: Headers) -> bool:
        if self._token is None or path in OPEN:
            return False
        given = headers.get("authorization", "").encode("latin-1")
        return not hmac.compare_digest(given, b"Bearer " + self._token.encode())


def _count(state: dict[str, Any], status: int, begin: float, end: float) -> None:
    """Counts a request in the statistics of the model that it asked to work, if it came so far."""
    if (model := state.get("model")) is None:
        return
    pending = state.get("pending")
    if pending is not None and status == 200 and (phases := pending.phases):
        model.statistics.answered(len(pending.results), begin, phases, end)
    else:
        model.statistics.failed(end - begin)


async def _answer(send: Send, status: int, error: str, headers: dict[str, str] | None = None) -> None:
    body = json.dumps({"error": error}).encode()
    all_headers = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    pairs = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
