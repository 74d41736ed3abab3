"""What a graph may do: compute with known operators, and read the weights that lie beside it."""

from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from keras_s2s.bundle import MANIFEST, Bundle
from keras_s2s.errors import UserError

# The fields of onnx.proto that lead to operators and to external data, others are skipped: number, and message or None
# for bytes. Messages without fields here are refused.
SCHEMA: dict[str, dict[str, tuple[int, str | None]]] = {
    "ModelProto": {
        "graph": (7, "GraphProto"),
        "training_info": (20, "TrainingInfoProto"),
        "functions": (25, "FunctionProto"),
    },
    "TrainingInfoProto": {},
    "FunctionProto": {},
    "GraphProto": {
        "node": (1, "NodeProto"),
        "initializer": (5, "TensorProto"),
        "sparse_initializer": (15, "SparseTensorProto"),
    },
    "NodeProto": {"attribute": (5, "AttributeProto"), "domain": (7, None)},
    "AttributeProto": {
        "t": (5, "TensorProto"),
        "g": (6, "GraphProto"),
        "tensors": (10, "TensorProto"),
        "graphs": (11, "GraphProto"),
        "sparse_tensor": (22, "SparseTensorProto"),
        "sparse_tensors": (23, "SparseTensorProto"),
    },
    "SparseTensorProto": {"values": (1, "TensorProto"), "indices": (2, "TensorProto")},
    "TensorProto": {"external_data": (13, "StringStringEntryProto")},
    "StringStringEntryProto": {"key": (1, None), "value": (2, None)},
}
_DOMAINS = (b"", b"ai.onnx", b"com.microsoft")
_KEYS = (b"location", b"offset", b"length", b"checksum")


def check_graphs(bundle: Bundle, precision: str) -> None:
    """Checks what the graphs of a precision may do, whatever onnxruntime's release would let them.

    Raises:
        UserError: a file is no ONNX graph; or one, branches and loops included, has an operator of an unknown domain,
            a function of its own, or data elsewhere than in the weights beside it that bundle.json names.
    """
    weights = [PurePosixPath(path) for path in bundle.manifest.weights(precision)]
    for graph in bundle.graphs(precision).values():
        folder = PurePosixPath(graph.path).parent
        _check(bundle.file(graph.path), {path.name.encode() for path in weights if path.parent == folder})


def has_weights_inside(model: bytes) -> bool:
    """Whether a graph in a graph, such as the body of a loop, has weights in a file. Exports once wrote such graphs.

    Args:
        model: an ONNX graph that has been checked.
    """
    nodes = (node for graph in _Model.FromString(model).graph for node in graph.node)
    return any(message.DESCRIPTOR.name == "StringStringEntryProto" for node in nodes for message in _messages(node))


def _check(file: Path, weights: Container[bytes]) -> None:
    # A file that ends in .ort onnxruntime reads in another format.
    if file.suffix != ".onnx":
        raise UserError(f"{file}: expected a graph's name to end in .onnx; export the bundle again")
    try:
        model = _Model.FromString(file.read_bytes())
    except DecodeError:
        raise UserError(f"{file}: expected an ONNX graph; export the bundle again") from None
    for message in _messages(model):
        if wrong := _wrong(message, weights):
            raise UserError(f"{file}: {wrong}; export the bundle again")


def _messages(model: Any) -> Iterator[Any]:
    """A message and all that are in it."""
    waiting = [model]
    while waiting:
        message = waiting.pop()
        yield message
        for field, values in message.ListFields():
            if field.message_type is not None:
                waiting += values


def _wrong(message: Any, weights: Container[bytes]) -> str | None:
    """What a message must not say."""
    match message.DESCRIPTOR.name:
        case "NodeProto":
            for domain in message.domain:
                if domain not in _DOMAINS:
                    return f"operator of the unknown domain {_shown(domain)}, expected ONNX's or com.microsoft"
        case "StringStringEntryProto":
            for key in message.key:
                if key not in _KEYS:
                    return f"external data with {_shown(key)}, expected a location, an offset and a length"
            for value in message.value:
                if b"location" in message.key and value not in weights:
                    return f"external data in {_shown(value)}, expected a file beside the graph that {MANIFEST} names"
        case "FunctionProto" | "TrainingInfoProto":
            return "local function or training graph, expected a graph alone"
    return None


def _shown(name: bytes) -> str:
    return repr(name.decode(errors="backslashreplace"))


def _message_class() -> Any:
    """The class of a model's messages.

    All fields are repeated, so that what a file says twice is seen twice; texts are bytes, which need not be UTF-8.
    """
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="onnx.proto", package="onnx", syntax="proto2")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, of) in fields.items():
            added = message.field.add(name=field, number=number, label=kind.LABEL_REPEATED, type=kind.TYPE_BYTES)
            if of is not None:
                added.type, added.type_name = kind.TYPE_MESSAGE, f".onnx.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("onnx.ModelProto"))


_Model = _message_class()
