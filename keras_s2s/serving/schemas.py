"""Schemas of requests and responses, as JSON."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from keras_s2s.search_options import OPTIONS as SEARCH_OPTIONS

REFERENCES = "#/components/schemas/{model}"
"""Where the OpenAPI document has schemas."""


class Body(BaseModel):
    """A request's body: typed, and without keys that are not known."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _whole(given: Any) -> Any:
    """JSON has one kind of number: 4.0 is as whole as 4."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


WHOLE = BeforeValidator(_whole)
"""Of an integer; after its bounds, or the OpenAPI document would not have them."""


def reference(schema: type[BaseModel]) -> dict[str, str]:
    """A schema's place in the OpenAPI document."""
    return {"$ref": REFERENCES.format(model=schema.__name__)}


def options() -> dict[str, Any]:
    """The fields of `Decoding`, all of which may be left out."""
    fields: dict[str, Any] = {}
    for name, one in SEARCH_OPTIONS.items():
        kind: Any = one.kind
        if name in _LIMITED:
            kind = _LIMITED[name]
        for rule in one.field.metadata:
            kind = Annotated[kind, rule]
        if one.kind is int:
            kind = Annotated[kind, WHOLE]
        fields[name] = (kind | None, Field(default=None, description=one.help))
    return fields


_LIMITED = {
    "suppress": Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)],
    "own": Annotated[dict[Annotated[str, Field(max_length=100)], bool | int | float], Field(max_length=100)],
}
"""Options of any size; plans remember them."""


Text = Annotated[str, Field(description="A text.")]
Texts = Annotated[list[str], Field(min_length=1, description="Texts, answered in this order.")]


class _Generate(Body):
    """A request to generate."""

    model: str | None = Field(default=None, description="Needed where the server has several.")
    text: Text | Texts
    prefix: str | list[str] | None = Field(
        default=None,
        description="What the output begins with, exactly; of several texts one for each, '' for nothing. A new word "
        "follows a space at its end.",
    )
    stream: bool = Field(default=False, description="Answer with server-sent events while tokens are written.")
    tokens: bool = Field(default=False, description="Give the ids of each output.")
    token_scores: bool = Field(default=False, description="Give the log-probability of each token and of the end.")
    alignment: bool = Field(default=False, description="Give where the model looked.")
    replace_unknown: bool = Field(
        default=False, description="Write for an unknown token the word of the source that it was looking at."
    )
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Seconds this may take.")


GenerateRequest: Any = create_model("GenerateRequest", __base__=_Generate, **options())
OPTIONS = ("replace_unknown", "alignment", *SEARCH_OPTIONS)


class Alignment(BaseModel):
    """Where the model looked: a row of weights for each piece of the target, over the pieces of the source."""

    source: list[str]
    target: list[str]
    weights: list[list[float]]


class HypothesisOut(BaseModel):
    """An output; what was not asked for is missing."""

    text: str
    score: float | None = Field(
        default=None, description="Its log-probability, divided by the length penalty; missing without `scores`."
    )
    finished: bool | None = Field(
        default=None,
        description="Whether it ended by itself; false if it was cut at its length limit. An older bundle does not "
        "tell of outputs that are just so long.",
    )
    tokens: list[int] | None = None
    token_scores: list[float] | None = None
    alignment: Alignment | None = None


class Result(BaseModel):
    """The hypotheses of a text, best first."""

    hypotheses: list[HypothesisOut]


class GenerateResponse(BaseModel):
    """One result for each text."""

    model: str
    results: list[Result]


class Event(BaseModel):
    """A server-sent event; its data are JSON."""

    event: Literal["written", "result", "end", "error"]
    data: str = Field(description="`index` and `text`, `index` and `hypotheses`, nothing, or `error` and `status`.")


class ScoreRequest(Body):
    """How likely are given outputs?"""

    model: str | None = Field(default=None, description="Needed where the server has several.")
    source: Text | Texts
    target: Text | Texts = Field(description="As many as sources.")
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Seconds this may take.")


class Score(BaseModel):
    """Of a target."""

    log_probability: float
    perplexity: float
    token_scores: list[float] = Field(description="Of each token, and of the end.")


class ScoreResponse(BaseModel):
    """One for each pair."""

    model: str
    results: list[Score]


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


class OptionOut(BaseModel):
    """An option of the search, as a form needs to know it."""

    name: str
    label: str
    help: str
    type: Literal["bool", "int", "float", "text", "texts"]
    default: bool | int | float | str | list[str]
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    exclusive_maximum: float | None = None
    strategies: list[str] = Field(description="Those of the model that look at it.")
    stands_first: bool = Field(description="Whether it is among those that are asked for most.")
    own: bool = Field(description="Whether the model brings it along; a request gives it in `own`.")


class ModelEntry(BaseModel):
    """A model of the server."""

    name: str
    task: str
    created: str
    precision: str
    graphs: dict[str, str] = Field(description="Each graph, and when a stream shows its output.")
    decoding: dict[str, Any] = Field(description="The defaults.")
    limits: dict[str, int]
    options: list[OptionOut] = Field(description="The options of a request that the model's graphs can do.")


class ModelList(BaseModel):
    """All models."""

    models: list[ModelEntry]


class Card(ModelEntry):
    """The card of a model; more of bundle.json stands beside it."""

    model_config = ConfigDict(extra="allow")

    metrics: dict[str, Any]
    verification: dict[str, Any]
    versions: dict[str, str]


_WHY = {
    400: "A compressed body that is damaged.",
    401: "The token is missing or wrong.",
    404: "No such model.",
    408: "The body came too slowly.",
    413: "Too many bytes or texts.",
    415: "A body in an encoding that is not known; `Accept-Encoding` says which are.",
    422: "No JSON, or a wrong key, option or text.",
    429: "Too much waits; `Retry-After` says when to try again.",
    500: "Something unexpected.",
    503: "A worker was lost; `Retry-After` says when to try again.",
    504: "Not done in time.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": why} for status, why in _WHY.items()
}
for _status in (429, 503):
    PROBLEMS[_status]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
GENERATE_EXAMPLES = {
    "one text": {"value": {"text": "Tuesday, the 5th of March 2013"}},
    "the three best of each of two": {
        "value": {"text": ["5 mars 2013", "March 5th, 2013"], "beam_size": 4, "n_best": 3, "token_scores": True}
    },
    "with a prefix": {"value": {"text": "5 mars 2013", "prefix": "2013"}},
    "a stream": {"value": {"text": "5 mars 2013", "stream": True}},
}
SCORE_EXAMPLES = {"one pair": {"value": {"source": "5 mars 2013", "target": "2013-03-05"}}}
