"""From a program to ONNX graphs: trace, convert, expand, tidy, write with one weights file."""

import contextlib
import gc
import logging
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx
from onnx import ModelProto, TensorProto, helper
from tf2onnx import optimizer
from tf2onnx.graph import Graph
from tf2onnx.optimizer.const_fold_optimizer import ConstFoldOptimizer

from keras_s2s.errors import ExportError
from keras_s2s.export.lowering import DOMAIN, HANDLERS, PART, FusedCall, Markers
from keras_s2s.export.nodes import MICROSOFT
from keras_s2s.export.operators import Operators
from keras_s2s.export.parts import Part, Parts, put_in
from keras_s2s.export.passes import (
    all_graphs,
    put_constants_outside,
    put_constants_where_they_are_read,
    remove_copies,
    remove_unread_inputs,
    replace_nodes,
    tidy,
)
from keras_s2s.export.weights import WeightsFile, locate
from keras_s2s.layers import fused

OPSET = 18
IR_VERSION = 8


def convert(program: Any, parts: Parts | None = None) -> tuple[ModelProto, dict[str, FusedCall]]:
    """Converts a program to a graph in which each fused operator is one opaque node without weights.

    Args:
        program: a `tf.function` with an input signature, as `decoding.make_program` makes it.
        parts: those of the programs that were converted before, which this one may share.

    Returns:
        The graph, and the calls that its opaque nodes stand for.

    Raises:
        ConversionError: names everything in the program that has no ONNX form.
    """
    markers = Markers(parts or Parts())
    signature = program.input_signature
    # A trace made before, without markers, must not be used again.
    fresh = tf.function(program.python_function, input_signature=signature, autograph=False)
    with fused.lowering(markers), _complaints_raised(), _in_a_third_of_the_time():
        model = _converted(fresh, signature)
        while put_in(model, lambda node: _part_of(node, markers.calls)):
            pass  # A part may have parts.
    remove_copies(model.graph)
    return model, markers.calls


def _converted(function: Any, signature: Any) -> ModelProto:
    model, _ = tf2onnx.convert.from_function(
        function,
        input_signature=signature,
        opset=OPSET,
        custom_op_handlers=HANDLERS,
        extra_opset=[helper.make_opsetid(DOMAIN, 1)],
    )
    return model


def _part_of(node: onnx.NodeProto, calls: Mapping[str, FusedCall]) -> onnx.GraphProto | None:
    """The part that a node stands for, or None."""
    if node.domain != DOMAIN or calls[_key(node)].operator != PART:
        return None
    part: Part = calls[_key(node)].attributes["part"]
    if part.graph is None:
        part.graph = _converted(part, part.signature).graph
    return part.graph


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
    """Keeps the converter from what is not needed here, and Python from looking for cycles.

    Of its passes constants are folded, once, and without a copy of the graph to go on with after an error; `tidy` does
    what others would. What is needed is looked for once, and not once for each output of a loop. Messages are made when
    the graph is complete, and a list of nodes that has not changed is not indexed anew.
    """
    reset, update = Graph.reset_nodes, Graph.update_proto
    instead = [
        (optimizer, "optimize_graph", lambda graph, *_, **__: ConstFoldOptimizer().optimize(graph, 0)),
        (Graph, "extract_sub_graph_nodes", _nodes_behind),
        # Who wants the messages says where large tensors go.
        (Graph, "update_proto", lambda graph, *storage: update(graph, *storage) if storage else None),
        (Graph, "reset_nodes", lambda graph, nodes: None if _are_nodes_of(graph, nodes) else reset(graph, nodes)),
    ]
    usual, collects = [getattr(owner, name) for owner, name, _ in instead], gc.isenabled()
    gc.disable()
    for owner, name, ours in instead:
        setattr(owner, name, ours)
    try:
        yield
    finally:
        for (owner, name, _), theirs in zip(instead, usual, strict=True):
            setattr(owner, name, theirs)
        if collects:
            gc.enable()


def _are_nodes_of(graph: Graph, nodes: Sequence[Any]) -> bool:
    there = graph.get_nodes()
    return len(there) == len(nodes) and all(map(operator.is_, there, nodes))


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


def expand(
    model: ModelProto,
    calls: Mapping[str, FusedCall],
    beside: Iterable[FusedCall] = (),
    weights: WeightsFile | None = None,
) -> ModelProto:
    """Puts ONNX operators, in float32, in the place of opaque nodes.

    Args:
        model: as `convert` gives it.
        calls: what its opaque nodes stand for.
        beside: the calls of graphs that share its weights file, so that all store a weight in one way.
        weights: takes the weights; without it the graph holds them.
    """
    result = ModelProto()
    result.CopyFrom(model)
    used = {_key(node) for graph in all_graphs(model.graph) for node in graph.node if node.domain == DOMAIN}
    # In the order of the trace, in which an ensemble's models come one after the other in every graph.
    operators = Operators([call for key, call in calls.items() if key in used], beside, weights)
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
    if weights is not None:
        for tensor in result.graph.initializer:  # such as those of Keras's own layers
            if (outside := weights.of(tensor)) is not tensor:
                tensor.CopyFrom(outside)
    remove_unread_inputs(result.graph)
    del result.opset_import[:]
    result.opset_import.extend([helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)])
    result.ir_version = IR_VERSION
    result.producer_name = "keras_s2s"
    return result


def write(models: Mapping[str, ModelProto], folder: Path) -> None:
    """Writes `NAME.onnx` for each model and one file with the weights of all of them, each stored once."""
    with WeightsFile(folder) as weights:
        for name, model in models.items():
            save(model, folder / f"{name}.onnx", weights)


def save(model: ModelProto, path: Path, weights: WeightsFile) -> None:
    """Writes a model beside the file of its weights."""
    onnx.save(with_weights_outside(model, weights.of), path)


def with_weights_outside(model: ModelProto, outside: Callable[[TensorProto], TensorProto]) -> ModelProto:
    """A copy for onnxruntime, whose larger constants `outside` has put into a file beside it."""
    result = _without_initializers(model)
    put_constants_outside(result.graph)
    for tensor in result.graph.initializer:
        tensor.CopyFrom(outside(tensor))
    result.graph.initializer.extend(map(outside, model.graph.initializer))
    locate(result.graph.initializer, "")
    put_constants_where_they_are_read(result.graph)
    return result


def _without_initializers(model: ModelProto) -> ModelProto:
    """A copy without the outermost graph's weights, which may be more than a message of protobuf holds."""
    result = ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    result.opset_import.extend(model.opset_import)
    result.graph.name = model.graph.name
    for field in ("node", "input", "output", "value_info"):
        getattr(result.graph, field).extend(getattr(model.graph, field))
    return result


def _key(node: onnx.NodeProto) -> str:
    return next(helper.get_attribute_value(a) for a in node.attribute if a.name == "key").decode()


def _renamed(nodes: list[onnx.NodeProto], names: Mapping[str, str]) -> list[onnx.NodeProto]:
    for node in nodes:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    return nodes
