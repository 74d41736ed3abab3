"""The ASGI application: all routes behind the middleware."""

import json
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from keras_s2s import __version__
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.metrics import Metrics
from keras_s2s.serving.middleware import RequestMiddleware
from keras_s2s.serving.openapi import document
from keras_s2s.serving.routes import inference_extensions, open_inference, v1
from keras_s2s.serving.schemas import PROBLEMS
from keras_s2s.serving.service import Service

_ROUTERS = (v1.router, inference_extensions.router, open_inference.router)
"""Their order matters: `/v2/models/stats` is no model."""
_SWAGGER = "fastapi_offline", "static"
_OWN = "keras_s2s.serving", "page"
_PAGES = {
    "/": (*_OWN, "page.html", "text/html"),
    "/page.css": (*_OWN, "page.css", "text/css"),
    "/page.js": (*_OWN, "page.js", "text/javascript"),
    "/docs": (*_OWN, "docs.html", "text/html"),
    "/docs.js": (*_OWN, "docs.js", "text/javascript"),
    "/swagger-ui.css": (*_SWAGGER, "swagger-ui.css", "text/css"),
    "/swagger-ui-bundle.js": (*_SWAGGER, "swagger-ui-bundle.js", "text/javascript"),
}
_PAGE_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus's text format."},
    401: PROBLEMS[401],
}


def make_app(service: Service, metrics: Metrics) -> FastAPI:
    """The server as an ASGI application.

    Args:
        service: answers requests.
        metrics: of the server.
    """
    app = FastAPI(
        title="keras_s2s",
        version=__version__,
        summary="Sequence-to-sequence models over HTTP.",
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    for router in _ROUTERS:
        app.include_router(router)
    app.add_exception_handler(HTTPProblem, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _wrong_path)
    for path, (package, folder, file, kind) in _PAGES.items():
        _add_page(app, path, resources.files(package).joinpath(folder, file).read_bytes(), kind)

    @app.get("/metrics", name="metrics", tags=["operation"], response_class=Response, responses=_METRICS)
    async def prometheus() -> Response:
        """Counters and times, for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    _add_page(app, "/openapi.json", json.dumps(document(app)).encode(), "application/json")
    app.add_middleware(RequestMiddleware, token=service.settings.token, metrics=metrics, costly=_costly())
    return app


def _costly() -> list[APIRoute]:
    """The routes that say that they may answer 429."""
    routes = [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return [route for route in routes if 429 in route.responses]


def _add_page(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    headers = {"content-security-policy": _PAGE_POLICY}

    @app.get(path, include_in_schema=False)
    async def page() -> Response:
        return Response(content, media_type=kind, headers=headers)


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPProblem)
    return JSONResponse({"error": " ".join(problem.message.splitlines())}, problem.status, problem.headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail).lower()}, error.status_code, error.headers)


async def _wrong_path(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the path has a part that is not understood"}, 422)
