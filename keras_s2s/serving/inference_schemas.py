"""Schemas of requests and responses of the Open Inference Protocol, as JSON."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from keras_s2s.serving.schemas import WHOLE, Body, options

VERSION = "1"
PLATFORM = "keras_s2s_onnx"
EXTENSIONS = ["binary_tensor_data", "parameters", "model_configuration", "statistics"]
OUTPUTS = {"text": "BYTES", "score": "FP32"}
Size = Annotated[int, Field(ge=0, lt=2**64), WHOLE]


def _flat(given: Any) -> Any:
    """Rows of one value each as values: JSON may show the shape [n, 1], or not."""
    if isinstance(given, list) and all(isinstance(row, list) and len(row) == 1 for row in given):
        return [value for row in given for value in row]
    return given


Row = Annotated[list[str], Field(min_length=1, max_length=1)]
Values = Annotated[list[str], BeforeValidator(_flat, json_schema_input_type=list[str] | list[Row])]


class TensorParameters(Body):
    """How a tensor is sent."""

    binary_data_size: Size | None = Field(default=None, description="So many bytes after the JSON are this tensor.")
    content_type: Literal["str"] | None = Field(default=None, description="Texts are all that is taken.")


class InputTensor(Body):
    """An input: "text", or "prefix", which says for each text what its output begins with, "" for nothing."""

    name: Literal["text", "prefix"]
    shape: list[Annotated[int, Field(ge=1), WHOLE]] = Field(
        min_length=1, max_length=2, description="[n] or [n, 1], of n texts."
    )
    datatype: Literal["BYTES"]
    parameters: TensorParameters | None = None
    data: Values | None = Field(default=None, description="Missing where bytes after the JSON have the texts.")


class OutputParameters(Body):
    """How an output is wanted."""

    binary_data: bool | None = Field(default=None, description="As bytes after the JSON.")
    content_type: Literal["str"] | None = Field(default=None, description="Texts are all that is given.")


class RequestedOutput(Body):
    """An output that is wanted."""

    name: Literal["text", "score"]
    parameters: OutputParameters | None = None


class _Parameters(Body):
    """How to generate, and how to answer."""

    binary_data_output: bool | None = Field(
        default=None, description="Give outputs that do not say otherwise as bytes after the JSON."
    )
    timeout: Size | None = Field(default=None, description="Microseconds that this may take; 0 leaves it open.")
    priority: Size | None = Field(default=None, description="Ignored: first come, first served.")
    sequence_id: Size | str | None = Field(default=None, description="Ignored: a model remembers nothing.")
    sequence_start: bool | None = Field(default=None, description="Ignored.")
    sequence_end: bool | None = Field(default=None, description="Ignored.")
    content_type: Literal["str"] | None = Field(default=None, description="Texts are all that is taken.")
    replace_unknown: bool = Field(default=False, description="Write the source's part for an unknown token.")


# Whether there are scores, the outputs say.
_SEARCH = {name: field for name, field in options().items() if name != "scores"}
InferParameters: Any = create_model("InferParameters", __base__=_Parameters, **_SEARCH)
OPTIONS = ("replace_unknown", *_SEARCH)


class InferRequest(Body):
    """Texts, and what is wanted of them."""

    model_config = ConfigDict(protected_namespaces=())

    id: str | None = Field(default=None, description="The answer has it, too.")
    model_name: str | None = Field(default=None, description="Ignored: the address says it.")
    parameters: InferParameters | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=2)
    outputs: list[RequestedOutput] | None = Field(default=None, description="By default all.")


class OutputTensor(BaseModel):
    """An output, [texts, n_best], row by row."""

    name: str
    datatype: str
    shape: list[int]
    parameters: TensorParameters | None = None
    data: list[str] | list[float] | None = Field(default=None, description="Missing where it comes after the JSON.")


class InferResponse(BaseModel):
    """The outputs that were generated."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    """A tensor that a model takes or gives; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """Inputs and outputs of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """Name, version and extensions of the server."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the process runs."""

    live: bool


class Ready(BaseModel):
    """Whether requests are taken."""

    ready: bool


class ModelReady(Ready):
    """Whether a model takes requests."""

    name: str


class InputConfig(BaseModel):
    """An input of a request of several texts, without the axis of the texts."""

    name: str
    data_type: str
    dims: list[int]
    optional: bool


class OutputConfig(BaseModel):
    """An output, without the axis of the texts; -1 is any size."""

    name: str
    data_type: str
    dims: list[int]


class ModelConfig(BaseModel):
    """The part of a model's configuration that Triton's tools read."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(description="The most texts of a request.")
    input: list[InputConfig]
    output: list[OutputConfig]
    dynamic_batching: dict[str, Any] = Field(description="Is there, since texts of several requests share batches.")


class Duration(BaseModel):
    """How often, and how long in all."""

    count: int
    ns: int = Field(description="Nanoseconds.")


class InferenceStatistics(BaseModel):
    """Of requests. The parts of a request that was answered add up to its time."""

    success: Duration = Field(description="Answered.")
    fail: Duration = Field(description="Refused or given up.")
    queue: Duration = Field(description="Until a worker took the first text.")
    compute_input: Duration = Field(description="Before: reading the request, and its texts as ids.")
    compute_infer: Duration = Field(description="Until the last text was done.")
    compute_output: Duration = Field(description="Until the answer was written.")
    cache_hit: Duration = Field(description="Zero: nothing is remembered.")
    cache_miss: Duration = Field(description="Zero.")


class ModelStatistics(BaseModel):
    """Statistics of a model since it was loaded, by whatever route."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    version: str
    last_inference: int = Field(description="When a request was answered last; milliseconds since 1970.")
    inference_count: int = Field(description="Texts answered.")
    execution_count: int = Field(description="Batches computed. Of a search a step at a time, each step is one.")
    inference_stats: InferenceStatistics
    batch_stats: list[Any] = Field(description="Empty.")


class Statistics(BaseModel):
    """Of several models."""

    model_config = ConfigDict(protected_namespaces=())

    model_stats: list[ModelStatistics]


class IndexRequest(Body):
    """Which models to list."""

    ready: bool | None = Field(default=None, description="Only those that take requests.")


class IndexEntry(BaseModel):
    """A model of the server."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


def _texts(*texts: str, name: str = "text") -> dict[str, Any]:
    return {"name": name, "shape": [len(texts)], "datatype": "BYTES", "data": texts}


INDEX_EXAMPLES: dict[str, Any] = {"all": {"value": {}}, "those that are ready": {"value": {"ready": True}}}
INFER_EXAMPLES: dict[str, Any] = {
    "one text": {"value": {"inputs": [_texts("Tuesday, the 5th of March 2013")]}},
    "the three best of each of two": {
        "value": {
            "id": "1",
            "parameters": {"beam_size": 4, "n_best": 3},
            "inputs": [_texts("5 mars 2013", "March 5th, 2013")],
        }
    },
    "with a prefix, and only the text": {
        "value": {
            "inputs": [_texts("5 mars 2013"), _texts("2013", name="prefix")],
            "outputs": [{"name": "text"}],
        }
    },
}
