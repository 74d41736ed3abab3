"""From a program to ONNX graphs: trace, convert, expand, tidy, write with one weights file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper

from keras_s2s.export.int8 import Int8Operators
from keras_s2s.export.lowering import DOMAIN, HANDLERS, FusedCall, Markers
from keras_s2s.export.operators import MICROSOFT, Float32Operators
from keras_s2s.layers import fused

OPSET = 18
IR_VERSION = 8
WEIGHTS_FILE = "weights.bin"
OPERATORS: Mapping[str, type[Float32Operators]] = {"fp32": Float32Operators, "int8": Int8Operators}

# Tensors below this many bytes stay in the graph's own file.
_INLINE_BYTES = 1024
_ALIGNMENT = 64


def convert(program: Any) -> tuple[ModelProto, dict[str, FusedCall]]:
    """Converts a program to a graph in which each fused operator is one opaque node without weights.

    Args:
        program: a `tf.function` with an input signature, as in `decoding.PROGRAMS`.

    Returns:
        The graph, and the calls that its opaque nodes stand for.
    """
    markers = Markers()
    signature = program.input_signature
    # A trace made before, without markers, must not be used again.
    fresh = tf.function(program.python_function, input_signature=signature, autograph=False)
    with fused.lowering(markers):
        model, _ = tf2onnx.convert.from_function(
            fresh,
            input_signature=signature,
            opset=OPSET,
            custom_op_handlers=HANDLERS,
            extra_opset=[helper.make_opsetid(DOMAIN, 1)],
        )
    return model, markers.calls


def expand(model: ModelProto, calls: Mapping[str, FusedCall], precision: str) -> ModelProto:
    """Puts ONNX operators of a precision in the place of opaque nodes."""
    result = ModelProto()
    result.CopyFrom(model)
    used = [calls[_key(node)] for graph in _graphs(model.graph) for node in graph.node if node.domain == DOMAIN]
    operators = OPERATORS[precision](used)
    for graph in _graphs(result.graph):
        nodes = []
        for node in graph.node:
            if node.domain == DOMAIN:
                outputs = operators.expand(calls[_key(node)], list(node.input))
                nodes += _renamed(operators.nodes, dict(zip(outputs, node.output, strict=True)))
                operators.nodes = []
            else:
                nodes.append(node)
        _replace_nodes(graph, nodes)
    result.graph.initializer.extend(operators.initializers.values())
    _hoist_invariants(result.graph)
    _remove_unused(result.graph)
    del result.graph.value_info[:]
    del result.opset_import[:]
    result.opset_import.extend([helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)])
    result.ir_version = IR_VERSION
    result.producer_name = "keras_s2s"
    return result


def write(models: Mapping[str, ModelProto], folder: Path) -> None:
    """Writes `NAME.onnx` for each model and one file with the weights of all of them, each stored once."""
    folder.mkdir(parents=True)
    places: dict[tuple[str, bytes], tuple[int, int]] = {}
    with open(folder / WEIGHTS_FILE, "wb") as weights:
        for name, model in models.items():
            for tensor in model.graph.initializer:
                data = numpy_helper.to_array(tensor).tobytes()
                if len(data) < _INLINE_BYTES:
                    continue
                if (tensor.name, data) not in places:
                    weights.write(b"\0" * (-weights.tell() % _ALIGNMENT))
                    places[tensor.name, data] = (weights.tell(), len(data))
                    weights.write(data)
                _make_external(tensor, *places[tensor.name, data])
            onnx.save(model, folder / f"{name}.onnx")


def _make_external(tensor: TensorProto, offset: int, length: int) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_FILE), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _key(node: onnx.NodeProto) -> str:
    return next(helper.get_attribute_value(a) for a in node.attribute if a.name == "key").decode()


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all in its nodes' attributes, inner ones first."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
    yield graph


def _replace_nodes(graph: GraphProto, nodes: list[onnx.NodeProto]) -> None:
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def _renamed(nodes: list[onnx.NodeProto], names: Mapping[str, str]) -> list[onnx.NodeProto]:
    for node in nodes:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    return nodes


def _hoist_invariants(graph: GraphProto) -> None:
    """Loop inputs that a body hands through unchanged become references to the outer graph.

    Else nothing that depends on them is prepacked, and they are copied in every round.
    """
    made = {name: node for node in graph.node for name in node.output}
    for loop in (node for node in graph.node if node.op_type == "Loop"):
        body = next(a.g for a in loop.attribute if a.name == "body")
        inner = {name: node for node in body.node for name in node.output}
        for i in reversed(range(len(loop.input) - 2)):
            name = body.input[i + 2].name
            if _origin(body.output[i + 1].name, inner) != name:
                continue
            outer = _origin(loop.input[i + 2], made)
            for node in body.node:
                node.input[:] = [outer if used == name else used for used in node.input]
            del loop.input[i + 2], loop.output[i], body.input[i + 2], body.output[i + 1]


def _origin(name: str, made: Mapping[str, onnx.NodeProto]) -> str:
    while name in made and made[name].op_type == "Identity":
        name = made[name].input[0]
    return name


def _remove_unused(graph: GraphProto) -> None:
    """Drops nodes and initializers on which no output depends."""
    for inner in _graphs(graph):
        needed = {output.name for output in inner.output}
        kept = []
        for node in reversed(inner.node):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input) | _read_inside(node)
        _replace_nodes(inner, kept[::-1])
    used = {name for inner in _graphs(graph) for node in inner.node for name in node.input}
    used |= {output.name for output in graph.output}
    for inner in _graphs(graph):
        initializers = [tensor for tensor in inner.initializer if tensor.name in used]
        del inner.initializer[:]
        inner.initializer.extend(initializers)


def _read_inside(node: onnx.NodeProto) -> set[str]:
    graphs = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
    return {
        name
        for graph in graphs
        for inner in _graphs(graph)
        for name in [*(n for node in inner.node for n in node.input), *(o.name for o in inner.output)]
    }
