"""Reading what a client sends, and waiting no longer than it does."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from keras_s2s.config import parse_json
from keras_s2s.errors import UserError
from keras_s2s.serving.encodings import Unpacker
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.served_model import ServedModel
from keras_s2s.serving.service import PendingRequest
from keras_s2s.serving.settings import Settings

Schema = TypeVar("Schema", bound=BaseModel)


async def read_body(request: Request, settings: Settings) -> bytes:
    """The body of a request, unpacked if it comes compressed.

    Args:
        request: it.
        settings: how large it may be, packed and unpacked, and how long it may take to come.

    Raises:
        HTTPProblem: it is too large, compressed in an unknown way, damaged, or comes too slowly.
        ClientDisconnect: the client went away.
    """
    most, seconds = settings.max_bytes, settings.timeout
    unpacker = Unpacker(request.headers.getlist("content-encoding"), most)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.extend(unpacker.feed(part))
    except TimeoutError:
        raise HTTPProblem(408, f"the body did not come within {seconds:g} s") from None
    unpacker.end()
    return b"".join(parts)


def _too_large(most: int) -> HTTPProblem:
    return HTTPProblem(413, f"the body has more than {most} bytes; send several requests")


def parsed(schema: type[Schema], body: bytes) -> Schema:
    """The body as what it should be.

    Raises:
        HTTPProblem: it is no JSON, or not of this schema.
    """
    try:
        return parse_json(schema, body, "body")
    except UserError as error:
        raise HTTPProblem(422, str(error)) from None


def count(request: Request, model: ServedModel) -> None:
    """From now on the request is one of the model's, whose statistics count it, even if it is refused."""
    request.state.model = model


def note(
    request: Request, settings: Settings, model: ServedModel, texts: Sequence[str], pending: PendingRequest
) -> None:
    """Tells the log which model was asked for how many texts, and, if it may know, for which."""
    request.state.pending = pending
    request.state.facts |= {"model": model.name, "texts": len(texts)}
    if settings.log_text:
        request.state.facts |= {"text": list(texts)}


async def hypotheses_of(pending: PendingRequest, request: Request, seconds: float) -> list[Any]:
    """`results_of` generating; tells the log how many tokens were written, ends counted."""
    results = await results_of(pending, request, seconds)
    request.state.facts |= {"tokens": sum(len(best.tokens) + 1 for found in results for best in found[:1])}
    return results


async def results_of(pending: PendingRequest, request: Request, seconds: float) -> list[Any]:
    """Waits for the results of a request.

    Raises:
        HTTPProblem: they did not come in time, or something unexpected did.
        ClientDisconnect: the client went away.
    """
    if not pending.done.done():
        gone = asyncio.ensure_future(_gone(request))
        try:
            waited_for = {pending.done, gone}
            await asyncio.wait(waited_for, timeout=pending.left(seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pending.cancel()
            gone.cancel()
        if not pending.done.done():
            if gone.done() and not gone.cancelled():
                raise ClientDisconnect
            raise too_late(seconds)
    for result in pending.results:
        if isinstance(result, Exception):
            raise result
    return pending.results


def too_late(seconds: float) -> HTTPProblem:
    """The deadline has passed."""
    return HTTPProblem(504, f"not done within {seconds:g} s; ask for less, or allow more time")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
