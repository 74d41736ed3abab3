"""The application: all routes behind the gate."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import resources

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from keras_s2s import __version__
from keras_s2s.serving import api, open_inference
from keras_s2s.serving.gate import Gate
from keras_s2s.serving.meter import Meter
from keras_s2s.serving.models import Models
from keras_s2s.serving.refusal import Refusal
from keras_s2s.serving.service import Service
from keras_s2s.serving.settings import Settings

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_PAGE_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def make_app(models: Models, settings: Settings) -> FastAPI:
    """The server as an ASGI application.

    Args:
        models: it serves.
        settings: how.
    """
    meter = Meter()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = app.state.service = Service(models, settings, meter)
        watching = asyncio.create_task(models.watch(meter))
        yield
        watching.cancel()
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="keras_s2s",
        version=__version__,
        summary="Sequence-to-sequence models over HTTP.",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.include_router(api.router)
    app.include_router(open_inference.router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _wrong_path)
    for path, (file, kind) in _PAGE.items():
        _add_page(app, path, file, kind)

    @app.get("/metrics", tags=["operation"], response_class=Response)
    async def metrics() -> Response:
        """Counters and times, for Prometheus."""
        return Response(meter.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_middleware(Gate, token=settings.token, meter=meter)
    return app


def _add_page(app: FastAPI, path: str, file: str, kind: str) -> None:
    content = resources.files("keras_s2s.serving").joinpath("page", file).read_bytes()
    headers = {"content-security-policy": _PAGE_POLICY}

    @app.get(path, include_in_schema=False)
    async def page() -> Response:
        return Response(content, media_type=kind, headers=headers)


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    return JSONResponse({"error": refusal.message}, refusal.status, headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail).lower()}, error.status_code, error.headers)


async def _wrong_path(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the path has a part that is not understood"}, 422)
