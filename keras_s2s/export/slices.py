"""Slices and shapes of a converted graph: what an index or a reshape of Keras becomes, in fewer nodes."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

Values = Mapping[str, np.ndarray]

_RESHAPES = ("Reshape", "Squeeze", "Unsqueeze")
_SMALL = 64  # numbers
_WHOLE = 10**9  # the converter's end of an axis that is taken whole, or more


def simplify_slices(graph: GraphProto, values: Values) -> dict[str, str]:
    """Makes one Gather of a slice of one place that is squeezed, and drops slices that take everything.

    Args:
        graph: changed in place.
        values: of constants, by name.

    Returns:
        What is to be read in the place of an output that is no longer there.
    """
    made = {name: node for node in graph.node for name in node.output}
    instead: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Slice":
            taken = _taken(node, values)
            if taken is not None and not taken:
                instead[node.output[0]] = node.input[0]
        elif node.op_type == "Squeeze" and (sliced := made.get(node.input[0])) is not None:
            _squeeze_as_gather(graph, node, sliced, values)
    return {name: _last(name, instead) for name in instead}


def _taken(node: NodeProto, values: Values) -> dict[int, int] | None:
    """Which place of which axes a slice takes, all others being taken whole; None for any other slice."""
    if len(node.input) < 4 or not all(name in values for name in node.input[1:]):
        return None
    starts, ends, axes, *steps = (values[name].tolist() for name in node.input[1:])
    if any(step != 1 for step in (steps[0] if steps else ())):
        return None
    taken = {}
    for start, end, axis in zip(starts, ends, axes, strict=True):
        if start >= 0 and end == start + 1:
            taken[axis] = start
        elif start != 0 or end < _WHOLE:
            return None
    return taken


def _squeeze_as_gather(graph: GraphProto, node: NodeProto, sliced: NodeProto, values: Values) -> None:
    if sliced.op_type != "Slice" or len(node.input) < 2 or node.input[1] not in values:
        return
    taken, axes = _taken(sliced, values), values[node.input[1]].tolist()
    if taken is None or len(taken) != 1 or [*taken] != axes:
        return
    ((axis, place),) = taken.items()
    name = f"{node.output[0]}/place"
    graph.initializer.append(numpy_helper.from_array(np.array(place, "int64"), name))
    node.CopyFrom(helper.make_node("Gather", [sliced.input[0], name], node.output, node.name, axis=axis))


def reshape_at_once(graph: GraphProto, values: Values) -> None:
    """A reshape to sizes that are all known, but for one, does not care what shape it begins with."""
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in values and 0 not in values[node.input[1]]:
            while (before := made.get(node.input[0])) is not None and before.op_type in _RESHAPES:
                node.input[0] = before.input[0]


def keep_sizes(graph: GraphProto, values: Values) -> None:
    """A reshape to sizes of which some are those that the tensor has already says so with 0, and looks none up."""
    made = {name: node for node in graph.node for name in node.output}
    for node in [node for node in graph.node if node.op_type == "Reshape"]:
        shape = made.get(_uncast(node.input[1], made))
        if shape is None or shape.op_type != "Concat" or any(a.name == "allowzero" and a.i for a in node.attribute):
            continue
        sizes: list[int] = []
        for part in shape.input:
            known = values[part].ravel().tolist() if part in values else []
            if 0 not in known and known:
                sizes += known
            elif _is_size(part, node.input[0], len(sizes), made, values):
                sizes.append(0)
            else:
                break
        else:
            name = f"{node.output[0]}/shape"
            graph.initializer.append(numpy_helper.from_array(np.array(sizes, "int64"), name))
            node.input[1] = name


def _is_size(name: str, tensor: str, axis: int, made: Mapping[str, NodeProto], values: Values) -> bool:
    """Whether a value is the size of this axis of this tensor, in a list of its own."""
    for operator in ("Unsqueeze", "Gather", "Shape"):
        node = made.get(_uncast(name, made))
        if node is None or node.op_type != operator or (operator == "Shape" and node.attribute):
            return False
        if operator == "Gather" and (node.input[1] not in values or values[node.input[1]].tolist() != axis):
            return False
        name = node.input[0]
    return name == tensor


def _uncast(name: str, made: Mapping[str, NodeProto]) -> str:
    while name in made and made[name].op_type == "Cast":
        name = made[name].input[0]
    return name


def _last(name: str, instead: Mapping[str, str]) -> str:
    while name in instead:
        name = instead[name]
    return name


def constants(graphs: Iterator[GraphProto]) -> dict[str, np.ndarray]:
    """The values of small initializers, which no weight matrix is, and of constant nodes, by name."""
    found: dict[str, np.ndarray] = {}
    for graph in graphs:
        small = (tensor for tensor in graph.initializer if math.prod(tensor.dims) <= _SMALL)
        found |= {tensor.name: numpy_helper.to_array(tensor) for tensor in small}
        for node in (node for node in graph.node if node.op_type == "Constant"):
            for attribute in (attribute for attribute in node.attribute if attribute.name == "value"):
                found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found
