"""The Open Inference Protocol, version 2, for clients of KServe and Triton."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from keras_s2s import __version__
from keras_s2s.runtime.options import options_of
from keras_s2s.serving.body import count, hypotheses_of, note, parsed, read_body
from keras_s2s.serving.encodings import ENCODINGS, accepted, packed
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.inference_schemas import (
    EXTENSIONS,
    INFER_EXAMPLES,
    OPTIONS,
    OUTPUTS,
    PLATFORM,
    VERSION,
    InferParameters,
    InferRequest,
    InferResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    RequestedOutput,
    ServerMetadata,
)
from keras_s2s.serving.routes.inference_extensions import NOT_FOUND, find, inputs_of
from keras_s2s.serving.schemas import PROBLEMS, reference
from keras_s2s.serving.served_model import ServedModel
from keras_s2s.serving.service import Service
from keras_s2s.serving.tensors import HEADER_LENGTH, read_texts, split, write_numbers, write_texts

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
LOWEST = float(np.finfo(np.float32).min)
"""The score of what was not found: JSON has no infinity."""
_BINARY = "application/octet-stream"
_LENGTH = {
    "description": "How many bytes are JSON, where tensors follow; before compression.",
    "schema": {"type": "integer", "minimum": 1},
}
_ENCODING = {"description": "As `Accept-Encoding` asks.", "schema": {"enum": list(ENCODINGS)}}
_INFER: dict[str, Any] = {
    "response_model": InferResponse,
    "responses": PROBLEMS
    | {
        200: {
            "content": {_BINARY: {}},
            "headers": {HEADER_LENGTH: _LENGTH, "Content-Encoding": _ENCODING},
            "description": "What was found.",
        }
    },
    "openapi_extra": {
        "parameters": [{"name": HEADER_LENGTH, "in": "header", "required": False, **_LENGTH}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": reference(InferRequest), "examples": INFER_EXAMPLES},
                _BINARY: {},
            },
        },
    },
}
_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "No worker is there."}}


@router.get("", response_model=ServerMetadata, responses={401: PROBLEMS[401]})
async def server() -> Response:
    """Name, version and protocol extensions of the server."""
    return JSONResponse({"name": "keras_s2s", "version": __version__, "extensions": EXTENSIONS})


@router.get("/health/live", response_model=Live)
async def live() -> Response:
    """Whether the process runs."""
    return JSONResponse({"live": True})


@router.get("/health/ready", response_model=Ready, responses=_NOT_READY)
async def ready(request: Request) -> Response:
    """Whether requests are taken."""
    return _ready(request, {})


@router.get("/models/{name}", response_model=ModelMetadata, responses=NOT_FOUND)
async def metadata(name: str, request: Request) -> Response:
    """Inputs and outputs of a model.

    `prefix` is there if the search that the model's defaults choose takes it; it may be left out.
    """
    return _metadata(find(request, name))


@router.get("/models/{name}/versions/{version}", response_model=ModelMetadata, responses=NOT_FOUND)
async def metadata_of_version(name: str, version: str, request: Request) -> Response:
    """The same; the only version is "1"."""
    return _metadata(find(request, name, version))


@router.get("/models/{name}/ready", response_model=ModelReady, responses=NOT_FOUND | _NOT_READY)
async def model_ready(name: str, request: Request) -> Response:
    """Whether a model takes requests."""
    return _ready(request, {"name": find(request, name).name})


@router.get("/models/{name}/versions/{version}/ready", response_model=ModelReady, responses=NOT_FOUND | _NOT_READY)
async def version_ready(name: str, version: str, request: Request) -> Response:
    """The same; the only version is "1"."""
    return _ready(request, {"name": find(request, name, version).name})


@router.post("/models/{name}/infer", **_INFER)
async def infer(name: str, request: Request) -> Response:
    """Generate outputs for texts.

    Inputs are [texts] or [texts, 1]. `parameters` has the options of `/v1/generate`, but for `scores`; what is left out
    is as the model's defaults have it. The outputs are `text`, BYTES, and `score`, FP32, both [texts, n_best], best
    first. Where only `text` is wanted, greedy search computes no scores. Where fewer than `n_best` were found, the rest
    of a row is filled with empty texts of score -3.4028235e38, the lowest that FP32 has.

    Tensors are in the JSON, or bytes after it, as Triton's extension "binary_tensor_data" says: a text is its number
    of bytes, as 4 bytes, little end first, and its bytes in UTF-8; the header `Inference-Header-Content-Length` says
    how long the JSON is. Requests without JSON, shared memory and classification are not taken.
    """
    return await _infer(request, find(request, name))


@router.post("/models/{name}/versions/{version}/infer", **_INFER)
async def infer_version(name: str, version: str, request: Request) -> Response:
    """The same; the only version is "1"."""
    return await _infer(request, find(request, name, version))


def _metadata(model: ServedModel) -> Response:
    inputs = [{"name": name, "datatype": "BYTES", "shape": [-1, 1]} for name in inputs_of(model)]
    outputs = [{"name": name, "datatype": datatype, "shape": [-1, -1]} for name, datatype in OUTPUTS.items()]
    told = {"name": model.name, "versions": [VERSION], "platform": PLATFORM}
    return JSONResponse({**told, "inputs": inputs, "outputs": outputs})


def _ready(request: Request, told: dict[str, str]) -> Response:
    is_ready = request.app.state.service.ready
    return JSONResponse({**told, "ready": is_ready}, 200 if is_ready else 503)


async def _infer(request: Request, model: ServedModel) -> Response:
    service: Service = request.app.state.service
    count(request, model)
    body, raw = split(await read_body(request, service.settings), request.headers.get(HEADER_LENGTH))
    asked = parsed(InferRequest, body)
    given = read_texts(asked, raw)
    parameters = asked.parameters or InferParameters()
    wanted = _wanted(asked.outputs or (), binary=bool(parameters.binary_data_output))
    options = {name: value for name in OPTIONS if (value := getattr(parameters, name)) is not None}
    options["scores"] = "score" in wanted
    if "prefix" in given:
        _check_prefixes(service, model, options)
    pending = service.generate(model, given["text"], given.get("prefix"), options)
    note(request, service.settings, model, given["text"], pending)
    seconds = service.seconds(parameters.timeout / 1e6 if parameters.timeout else None)
    found = await hypotheses_of(pending, request, seconds)
    width = options_of(model.manifest, options).n_best
    rows = {"text": [_row([one.text for one in some], "", width) for some in found]}
    if "score" in wanted:
        rows["score"] = [_row([one.score for one in some], LOWEST, width) for some in found]
    return _answer(asked, model, wanted, rows, request.headers.get("accept-encoding", ""))


def _check_prefixes(service: Service, model: ServedModel, options: Mapping[str, Any]) -> None:
    """Looks whether the search that the options choose takes prefixes, empty ones too.

    Raises:
        HTTPProblem: it does not.
    """
    service.plan(model, options, prefixed=False)
    try:
        service.plan(model, options, prefixed=True)
    except HTTPProblem as problem:
        raise HTTPProblem(problem.status, f"inputs: prefix: {problem.message}") from None


def _wanted(asked: Sequence[RequestedOutput], binary: bool) -> dict[str, bool]:
    """Which outputs, all if none is named, and whether each is sent as bytes; `binary` where it does not say.

    Raises:
        HTTPProblem: one twice.
    """
    wanted: dict[str, bool] = {}
    for output in asked:
        if output.name in wanted:
            raise HTTPProblem(422, f"outputs: {output.name}: wanted twice")
        own = None if output.parameters is None else output.parameters.binary_data
        wanted[output.name] = binary if own is None else own
    return wanted or dict.fromkeys(OUTPUTS, binary)


def _row(found: list[Any], missing: Any, width: int) -> list[Any]:
    return found + [missing] * (width - len(found))


def _answer(
    asked: InferRequest,
    model: ServedModel,
    wanted: dict[str, bool],
    found: Mapping[str, list[list[Any]]],
    accept_encoding: str,
) -> Response:
    outputs = [
        (write_texts if name == "text" else write_numbers)(name, found[name], binary) for name, binary in wanted.items()
    ]
    tensors = [output.tensor for output in outputs]
    answer = InferResponse(model_name=model.name, model_version=VERSION, id=asked.id, outputs=tensors)
    body = answer.model_dump_json(exclude_none=True).encode()
    headers = {"vary": "Accept-Encoding"}
    if any(wanted.values()):
        headers[HEADER_LENGTH] = str(len(body))
    body += b"".join(output.raw for output in outputs)
    if encoding := accepted(accept_encoding):
        headers["content-encoding"] = encoding
        body = packed(body, encoding)
    return Response(body, media_type=_BINARY if HEADER_LENGTH in headers else "application/json", headers=headers)
