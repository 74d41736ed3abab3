"""Triton's extensions of the Open Inference Protocol, which its tools ask for: configuration, statistics, index."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from keras_s2s.serving.body import parsed, read_body
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.inference_schemas import (
    INDEX_EXAMPLES,
    OUTPUTS,
    PLATFORM,
    VERSION,
    IndexEntry,
    IndexRequest,
    ModelConfig,
    Statistics,
)
from keras_s2s.serving.schemas import PROBLEMS, reference
from keras_s2s.serving.served_model import ServedModel
from keras_s2s.serving.service import Service
from keras_s2s.serving.statistics import Times

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

NOT_FOUND: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (401, 404)}
_TYPES = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32"}
_INDEX: dict[str, Any] = {
    "response_model": list[IndexEntry],
    "responses": {code: PROBLEMS[code] for code in (400, 401, 408, 413, 415, 422)},
    "openapi_extra": {
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": reference(IndexRequest), "examples": INDEX_EXAMPLES}},
        }
    },
}


@router.get("/models/stats", response_model=Statistics, responses={401: PROBLEMS[401]})
async def statistics_of_all(request: Request) -> Response:
    """The statistics of all models."""
    service: Service = request.app.state.service
    return _statistics(service, *service.models)


@router.get("/models/{name}/stats", response_model=Statistics, responses=NOT_FOUND)
async def statistics(name: str, request: Request) -> Response:
    """The statistics of a model since it was loaded: requests, texts, batches, and the time they took."""
    return _statistics(request.app.state.service, find(request, name))


@router.get("/models/{name}/versions/{version}/stats", response_model=Statistics, responses=NOT_FOUND)
async def statistics_of_version(name: str, version: str, request: Request) -> Response:
    """The same; the only version is "1"."""
    return _statistics(request.app.state.service, find(request, name, version))


@router.get("/models/{name}/config", response_model=ModelConfig, responses=NOT_FOUND)
async def config(name: str, request: Request) -> Response:
    """A model as Triton would configure it: a request is a batch of up to `max_batch_size` texts."""
    return _config(request.app.state.service, find(request, name))


@router.get("/models/{name}/versions/{version}/config", response_model=ModelConfig, responses=NOT_FOUND)
async def config_of_version(name: str, version: str, request: Request) -> Response:
    """The same; the only version is "1"."""
    return _config(request.app.state.service, find(request, name, version))


@router.post("/repository/index", **_INDEX)
async def index(request: Request) -> Response:
    """The models of this server. None can be loaded or unloaded by a request."""
    service: Service = request.app.state.service
    asked = parsed(IndexRequest, await read_body(request, service.settings) or b"{}")
    state = {"state": "READY", "reason": ""} if service.ready else {"state": "UNAVAILABLE", "reason": "no worker"}
    listed = [{"name": model.name, "version": VERSION, **state} for model in service.models]
    return JSONResponse(listed if service.ready or not asked.ready else [])


def find(request: Request, name: str, version: str = VERSION) -> ServedModel:
    """A model by its name and version.

    Raises:
        HTTPProblem: there is none.
    """
    model: ServedModel = request.app.state.service.models.find(name)
    if version != VERSION:
        raise HTTPProblem(404, f"version: no '{version[:100]}'; '{model.name}' has {VERSION}")
    return model


def inputs_of(model: ServedModel) -> tuple[str, ...]:
    """The inputs that a request without options may have."""
    return ("text", "prefix") if model.takes_prefixes else ("text",)


def _config(service: Service, model: ServedModel) -> Response:
    inputs = [
        {"name": name, "data_type": _TYPES["BYTES"], "dims": [1], "optional": name != "text"}
        for name in inputs_of(model)
    ]
    outputs = [{"name": name, "data_type": _TYPES[datatype], "dims": [-1]} for name, datatype in OUTPUTS.items()]
    about = {"name": model.name, "platform": PLATFORM, "backend": "keras_s2s"}
    batches = {"max_batch_size": service.settings.max_texts, "dynamic_batching": {}}
    return JSONResponse({**about, **batches, "input": inputs, "output": outputs})


def _statistics(service: Service, *models: ServedModel) -> Response:
    return JSONResponse({"model_stats": [_of_model(service, model) for model in models]})


def _of_model(service: Service, model: ServedModel) -> dict[str, Any]:
    counted, never = model.statistics, Times()
    times = {
        "success": counted.success,
        "fail": counted.fail,
        "queue": counted.queue,
        "compute_input": counted.compute_input,
        "compute_infer": counted.compute_infer,
        "compute_output": counted.compute_output,
        "cache_hit": never,
        "cache_miss": never,
    }
    return {
        "name": model.name,
        "version": VERSION,
        "last_inference": int(1000 * counted.last),
        "inference_count": counted.inferences,
        "execution_count": service.executions(model),
        "inference_stats": {name: {"count": one.count, "ns": int(1e9 * one.seconds)} for name, one in times.items()},
        "batch_stats": [],
    }
