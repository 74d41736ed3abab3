"""From a program to ONNX graphs: trace, convert, expand, tidy, write with one weights file."""

import contextlib
import gc
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import onnx
import tensorflow as tf
import tf2onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper
from tf2onnx import optimizer
from tf2onnx.graph import Graph

from keras_s2s.errors import ExportError
from keras_s2s.export.lowering import DOMAIN, HANDLERS, FusedCall, Markers
from keras_s2s.export.nodes import MICROSOFT
from keras_s2s.export.operators import Operators
from keras_s2s.export.passes import (
    all_graphs,
    put_constants_outside,
    put_constants_where_they_are_read,
    remove_unread_inputs,
    replace_nodes,
    tidy,
)
from keras_s2s.layers import fused

OPSET = 18
IR_VERSION = 8
WEIGHTS_FILE = "weights.bin"

# Tensors below this many bytes stay in the graph's own file.
_INLINE_BYTES = 1024
_ALIGNMENT = 64
# The converter's own passes that pay; its others take as long again, and onnxruntime does their work when it loads.
_PASSES = ("fold_constants", "merge_duplication", "remove_identity")


def convert(program: Any) -> tuple[ModelProto, dict[str, FusedCall]]:
    """Converts a program to a graph in which each fused operator is one opaque node without weights.

    Args:
        program: a `tf.function` with an input signature, as `decoding.make_program` makes it.

    Returns:
        The graph, and the calls that its opaque nodes stand for.

    Raises:
        ConversionError: names everything in the program that has no ONNX form.
    """
    markers = Markers()
    signature = program.input_signature
    # A trace made before, without markers, must not be used again.
    fresh = tf.function(program.python_function, input_signature=signature, autograph=False)
    with fused.lowering(markers), _complaints_raised(), _in_a_third_of_the_time():
        model, _ = tf2onnx.convert.from_function(
            fresh,
            input_signature=signature,
            opset=OPSET,
            custom_op_handlers=HANDLERS,
            extra_opset=[helper.make_opsetid(DOMAIN, 1)],
        )
    return model, markers.calls


class ConversionError(ExportError):
    """A program cannot be converted to ONNX."""


@contextlib.contextmanager
def _complaints_raised() -> Iterator[None]:
    """The converter logs what it cannot convert, goes on, and writes a broken graph."""
    logger, complaints = logging.getLogger("tf2onnx"), _Complaints()
    level, propagates = logger.level, logger.propagate
    logger.addHandler(complaints)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagates
        logger.setLevel(level)
    if complaints.messages:
        raise ConversionError("no ONNX form: " + "; ".join(complaints.messages))


@contextlib.contextmanager
def _in_a_third_of_the_time() -> Iterator[None]:
    """Keeps the converter to `_PASSES`, and from copying the graph before each, and Python from looking for cycles.

    The copies are there to go on after a pass that failed; here that is an error. What is needed is looked for once,
    and not once for each output of a loop.
    """
    optimize, behind, collects = optimizer.optimize_graph, Graph.extract_sub_graph_nodes, gc.isenabled()
    passes = {name: make for name, make in optimizer._get_optimizers().items() if name in _PASSES}
    gc.disable()
    optimizer.optimize_graph = lambda graph, *_, **__: optimize(graph, catch_errors=False, optimizers=passes)
    Graph.extract_sub_graph_nodes = _nodes_behind
    try:
        yield
    finally:
        optimizer.optimize_graph, Graph.extract_sub_graph_nodes = optimize, behind
        if collects:
            gc.enable()


def _nodes_behind(
    graph: Graph,
    outputs: Iterable[str],
    input_checker: Callable[[Any], bool] | None = None,
    remove_unused_inputs: bool = True,
) -> list[Any]:
    """As the converter's `Graph.extract_sub_graph_nodes`: all nodes on which outputs, or inputs, depend."""
    wanted = [*outputs, *([] if remove_unused_inputs else [node.output[0] for node in graph.inputs])]
    found: dict[Any, None] = {}
    while wanted:
        node = graph.get_node_by_output(wanted.pop(), search_in_parent_graphs=False)
        if node is None or node in found or (input_checker is not None and input_checker(node) is False):
            continue
        found[node] = None
        wanted += [*node.input, *node.get_implicit_inputs()]
    return list(found)


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the first line."""
        self.messages.append(record.getMessage().splitlines()[0])


def expand(model: ModelProto, calls: Mapping[str, FusedCall], beside: Iterable[FusedCall] = ()) -> ModelProto:
    """Puts ONNX operators, in float32, in the place of opaque nodes.

    Args:
        model: as `convert` gives it.
        calls: what its opaque nodes stand for.
        beside: the calls of graphs that share its weights file, so that all store a weight in one way.
    """
    result = ModelProto()
    result.CopyFrom(model)
    used = {_key(node) for graph in all_graphs(model.graph) for node in graph.node if node.domain == DOMAIN}
    # In the order of the trace, in which an ensemble's models come one after the other in every graph.
    operators = Operators([call for key, call in calls.items() if key in used], beside)
    for graph in all_graphs(result.graph):
        nodes = []
        for node in graph.node:
            if node.domain == DOMAIN:
                outputs = operators.expand(calls[_key(node)], list(node.input))
                nodes += _renamed(operators.take(), dict(zip(outputs, node.output, strict=True)))
            else:
                nodes.append(node)
        replace_nodes(graph, nodes)
        del graph.value_info[:]
        graph.value_info.extend(operators.take_sizes())
    operators.store(result.graph)
    tidy(result.graph)
    remove_unread_inputs(result.graph)
    del result.opset_import[:]
    result.opset_import.extend([helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)])
    result.ir_version = IR_VERSION
    result.producer_name = "keras_s2s"
    return result


def write(models: Mapping[str, ModelProto], folder: Path) -> None:
    """Writes `NAME.onnx` for each model and one file with the weights of all of them, each stored once."""
    folder.mkdir(parents=True)
    with open(folder / WEIGHTS_FILE, "wb") as file:
        outside = _Outside(file)
        for name, model in models.items():
            written = _without_initializers(model)
            put_constants_outside(written.graph)
            for tensor in written.graph.initializer:
                tensor.CopyFrom(outside.of(tensor))
            written.graph.initializer.extend(map(outside.of, model.graph.initializer))
            put_constants_where_they_are_read(written.graph)
            onnx.save(written, folder / f"{name}.onnx")


def _without_initializers(model: ModelProto) -> ModelProto:
    """A copy without the outermost graph's weights, which may be more than a message of protobuf holds."""
    result = ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    result.opset_import.extend(model.opset_import)
    result.graph.name = model.graph.name
    for field in ("node", "input", "output", "value_info"):
        getattr(result.graph, field).extend(getattr(model.graph, field))
    return result


class _Outside:
    """Puts the data of tensors into a file, each stored once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[bytes, int] = {}

    def of(self, tensor: TensorProto) -> TensorProto:
        """The tensor with its data in the file; a small one as it is."""
        data = numpy_helper.to_array(tensor).tobytes()
        if len(data) < _INLINE_BYTES:
            return tensor
        result = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        result.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS_FILE), ("offset", str(self._place(data))), ("length", str(len(data)))):
            result.external_data.add(key=key, value=value)
        return result

    def _place(self, data: bytes) -> int:
        """By content alone: two graphs of an ensemble may name its models' weights the other way round."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._places:
            self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
            self._places[digest] = self._file.tell()
            self._file.write(data)
        return self._places[digest]


def _key(node: onnx.NodeProto) -> str:
    return next(helper.get_attribute_value(a) for a in node.attribute if a.name == "key").decode()


def _renamed(nodes: list[onnx.NodeProto], names: Mapping[str, str]) -> list[onnx.NodeProto]:
    for node in nodes:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    return nodes
