"""The OpenAPI document: what FastAPI knows of the routes, and what it does not."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from keras_s2s.serving.inference_schemas import IndexRequest, InferRequest
from keras_s2s.serving.middleware import OPEN
from keras_s2s.serving.schemas import REFERENCES, Event, GenerateRequest, ScoreRequest

_UNKNOWN = (GenerateRequest, ScoreRequest, InferRequest, IndexRequest, Event)
"""Schemas that routes name, and FastAPI does not know."""
_ABOUT = """
Errors are `{"error": "what, and what to do"}`. Each answer has the header `X-Request-Id`, the request's own if it had
one of at most 128 letters, digits, `_`, `.`, `:` and `-`; the log has it, too.

A body may be compressed, with `Content-Encoding: gzip` or `deflate`; its limit is also that of what it unpacks to.
"""
_NEVER = ("HTTPValidationError", "ValidationError")
_TOKEN = {"type": "http", "scheme": "bearer", "description": "Needed where the server was started with a token."}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of an application whose routes read their bodies themselves."""
    made = get_openapi(title=app.title, version=app.version, summary=app.summary, description=_ABOUT, routes=app.routes)
    _, schemas = models_json_schema([(schema, "validation") for schema in _UNKNOWN], ref_template=REFERENCES)
    parts = made["components"]
    parts["schemas"] |= schemas["$defs"]
    for name in _NEVER:
        parts["schemas"].pop(name, None)
    parts["securitySchemes"] = {"token": _TOKEN}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            operation["summary"], _, operation["description"] = operation["description"].partition("\n\n")
            operation["security"] = [] if path in OPEN else [{}, {"token": []}]
            _drop_unused(operation["responses"])
    return made


def _drop_unused(responses: dict[str, Any]) -> None:
    """Drops the answer that FastAPI writes wherever a path has a part; parts are strings, so it never comes."""
    schema = responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if schema.get("$ref", "").endswith(_NEVER[0]):
        del responses["422"]
