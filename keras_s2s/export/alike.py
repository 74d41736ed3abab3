"""Nodes that compute the same from the same."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto

_RANDOM = {"Bernoulli", "Dropout", "Multinomial"} | {
    f"Random{kind}{like}" for kind in ("Normal", "Uniform") for like in ("", "Like")
}


def is_random(node: onnx.NodeProto) -> bool:
    """Whether a node, or one inside it, gives something else whenever it is run."""
    inside = [inner for a in node.attribute if a.type == AttributeProto.GRAPH for inner in a.g.node]
    return node.op_type in _RANDOM or any(map(is_random, inside))


def merge_alike(graph: GraphProto, inside: list[GraphProto], values: Mapping[str, np.ndarray]) -> None:
    """Lets everyone read the first of several nodes of a graph that give the same; the others are read no more.

    onnxruntime does this by the names of what nodes read, and every constant of the converter has a name of its own.
    Random nodes, nodes with graphs in them and results of graphs stay.

    Args:
        graph: whose nodes are merged.
        inside: the graph and all in it, which may read its nodes.
        values: of constants, by name.
    """
    results = {output.name for one in inside for output in one.output}
    first: dict[Any, onnx.NodeProto] = {}
    instead: dict[str, str] = {}
    for node in graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
        has_graphs = any(a.type == AttributeProto.GRAPH for a in node.attribute)
        if has_graphs or is_random(node) or results & {*node.output}:
            continue
        other = first.setdefault(_identity(node, values), node)
        if other is not node:
            instead |= dict(zip(node.output, other.output, strict=True))
    for node in (node for one in inside for node in one.node):
        node.input[:] = [instead.get(name, name) for name in node.input]


def _identity(node: onnx.NodeProto, values: Mapping[str, np.ndarray]) -> Any:
    """A key that is equal for nodes that compute the same."""
    read = tuple(_value(values[name]) if name in values else name for name in node.input)
    given = tuple(map(bool, node.output))
    return node.domain, node.op_type, read, given, tuple(sorted(a.SerializeToString() for a in node.attribute))


def _value(value: np.ndarray) -> Any:
    return value.dtype.str, value.shape, value.tobytes()
