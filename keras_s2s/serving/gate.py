"""What every request passes: its id, the token, one answer whatever happens, and a line in the log."""

import hmac
import json
import logging
import re
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keras_s2s.serving.meter import Meter

logger = logging.getLogger("keras_s2s.serving")

_PAGES = ("/", "/page.css", "/page.js", "/docs", "/docs.js", "/swagger-ui.css", "/swagger-ui-bundle.js")
OPEN = (*_PAGES, "/openapi.json", "/v2/health/live", "/v2/health/ready")
"""What needs no token: it tells nothing of the models."""
_COSTLY = ("/v1/generate", "/v1/score")
"""What is refused at once, before anything is read, when too much waits: there may be very many such requests."""
CLIENT_GONE = 499
_ID = re.compile(r"[\w.:-]{1,128}")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Gate:
    """Middleware around the whole application.

    Args:
        app: the application.
        token: without it, as a bearer token, requests are refused; None takes all.
        meter: is told of each answer.
    """

    def __init__(self, app: ASGIApp, token: str | None, meter: Meter) -> None:
        self._app, self._token, self._meter = app, token, meter

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
                await _answer(noting, 401, "a bearer token is needed", {"www-authenticate": "Bearer"})
            elif scope["path"] in _COSTLY and (refusal := scope["app"].state.service.overload()):
                await _answer(noting, 429, refusal.message, {"retry-after": str(refusal.retry_after)})
            else:
                await self._app(scope, receive, noting)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception:
            logger.exception("unexpected", extra={"facts": {"request_id": request_id}})
            if not status:
                await _answer(noting, 500, f"something unexpected; the log tells more under {request_id}")
        finally:
            seconds = time.perf_counter() - begin
            path = scope["path"] if scope["path"] in _COSTLY else getattr(scope.get("route"), "path", "other")
            self._meter.answered(path, status, seconds)
            told = {"request_id": request_id, "method": scope["method"], "path": scope["path"][:200], "status": status}
            logger.info("request", extra={"facts": told | {"milliseconds": round(1000 * seconds, 2)} | facts})

    def _is_refused(self, path: str, headers: Headers) -> bool:
        if self._token is None or path in OPEN:
            return False
        given = headers.get("authorization", "").encode("latin-1")
        return not hmac.compare_digest(given, b"Bearer " + self._token.encode())


async def _answer(send: Send, status: int, error: str, headers: dict[str, str] | None = None) -> None:
    body = json.dumps({"error": error}).encode()
    all_headers = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    pairs = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
