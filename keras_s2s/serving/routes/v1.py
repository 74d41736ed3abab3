"""The server's own interface: `/v1`."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from keras_s2s.runtime import Hypothesis
from keras_s2s.serving.body import count, hypotheses_of, note, parsed, read_body, results_of, too_late
from keras_s2s.serving.card import card, entry
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.schemas import (
    GENERATE_EXAMPLES,
    OPTIONS,
    PROBLEMS,
    SCORE_EXAMPLES,
    Alignment,
    Card,
    Event,
    GenerateRequest,
    GenerateResponse,
    HypothesisOut,
    ModelList,
    Result,
    Score,
    ScoreRequest,
    ScoreResponse,
    reference,
)
from keras_s2s.serving.served_model import ServedModel
from keras_s2s.serving.service import PendingRequest, Service

router = APIRouter(prefix="/v1", tags=["generate"])


def _takes(schema: type[BaseModel], examples: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description of a body; the routes read bodies themselves."""
    content = {"schema": reference(schema), "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses=PROBLEMS | {200: {"content": {"text/event-stream": {"schema": reference(Event)}}}},
    openapi_extra=_takes(GenerateRequest, GENERATE_EXAMPLES),
)
async def generate(request: Request) -> Response:
    """Generate outputs for one text or several.

    What is left out of the options is as the model's defaults have it. With `stream` the answer is server-sent
    events: `written` (`index`, `text`), whenever a text has more than before; `result` (`index`, `hypotheses`) when
    it is done; at last `end`, or `error`. A model without graphs for steps gives no `written`.
    """
    service: Service = request.app.state.service
    asked = parsed(GenerateRequest, await read_body(request, service.settings))
    loaded = service.models.find(asked.model)
    count(request, loaded)
    texts, prefixes = _list(asked.text), None if asked.prefix is None else _list(asked.prefix)
    options = {name: value for name in OPTIONS if (value := getattr(asked, name)) is not None}
    if asked.token_scores and not options.setdefault("scores", True):
        raise HTTPProblem(422, "token_scores: not without scores; leave out one of both")
    pending = service.generate(loaded, texts, prefixes, options, progress=asked.stream)
    seconds = service.seconds(asked.timeout)
    note(request, service.settings, loaded, texts, pending)
    if asked.stream:
        headers = {"x-accel-buffering": "no"}
        events = _events(pending, loaded, texts, asked, seconds)
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)
    results = await hypotheses_of(pending, request, seconds)
    answers = [_result(loaded, text, found, asked) for text, found in zip(texts, results, strict=True)]
    return _json(GenerateResponse(model=loaded.name, results=answers))


@router.post(
    "/score", response_model=ScoreResponse, responses=PROBLEMS, openapi_extra=_takes(ScoreRequest, SCORE_EXAMPLES)
)
async def score(request: Request) -> Response:
    """Tell how likely given outputs are."""
    service: Service = request.app.state.service
    asked = parsed(ScoreRequest, await read_body(request, service.settings))
    loaded = service.models.find(asked.model)
    count(request, loaded)
    pending = service.score(loaded, _list(asked.source), _list(asked.target))
    request.state.pending = pending
    request.state.facts |= {"model": loaded.name, "texts": len(pending.results)}
    scored = await results_of(pending, request, service.seconds(asked.timeout))
    scores = [
        Score(log_probability=one.log_probability, perplexity=one.perplexity, token_scores=list(one.token_scores))
        for one in scored
    ]
    return _json(ScoreResponse(model=loaded.name, results=scores))


@router.get("/models", response_model=ModelList, responses={401: PROBLEMS[401]})
async def models(request: Request) -> Response:
    """The models of this server."""
    return JSONResponse({"models": [entry(loaded) for loaded in request.app.state.service.models]})


@router.get("/models/{name}", response_model=Card, responses={code: PROBLEMS[code] for code in (401, 404)})
async def model(name: str, request: Request) -> Response:
    """The card of a model: what it is, what it was measured to do, its defaults and limits."""
    return JSONResponse(card(request.app.state.service.models.find(name)))


def _list(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


def _result(loaded: ServedModel, text: str, found: Sequence[Hypothesis], asked: Any) -> Result:
    return Result(hypotheses=[_hypothesis(loaded, text, one, asked) for one in found])


def _hypothesis(loaded: ServedModel, text: str, one: Hypothesis, asked: Any) -> HypothesisOut:
    return HypothesisOut(
        text=one.text,
        score=one.score,
        finished=one.finished,
        tokens=list(one.tokens) if asked.tokens else None,
        token_scores=list(one.token_scores) if asked.token_scores else None,
        alignment=None
        if one.alignment is None
        else Alignment(
            source=loaded.generator.source_pieces(text),
            target=loaded.generator.written_pieces(one.tokens),
            weights=one.alignment.astype("float64").round(4).tolist(),
        ),
    )


async def _events(
    pending: PendingRequest, loaded: ServedModel, texts: Sequence[str], asked: Any, seconds: float
) -> AsyncIterator[bytes]:
    """The events of a request, until all of its texts are done, or it is too late."""
    told: set[int] = set()
    try:
        while len(told) < len(texts):
            await asyncio.wait_for(pending.changed(), pending.left(seconds))
            for index, ids in sorted(pending.newest().items()):
                yield _event("written", {"index": index, "text": loaded.generator.written(ids)})
            for index, found in enumerate(pending.results):
                if found is None or index in told:
                    continue
                if isinstance(found, Exception):
                    raise found
                told.add(index)
                answer = _result(loaded, texts[index], found, asked).model_dump(exclude_none=True, mode="json")
                yield _event("result", {"index": index, **answer})
        yield _event("end", {})
    except TimeoutError:
        pending.give_up()
        yield _event("error", {"error": too_late(seconds).message, "status": 504})
    except HTTPProblem as problem:
        yield _event("error", {"error": problem.message, "status": problem.status})
    finally:
        pending.cancel()


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
