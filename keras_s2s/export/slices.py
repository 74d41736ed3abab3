"""Slices and shapes of a converted graph: what an index or a reshape of Keras becomes, in fewer nodes."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

Values = Mapping[str, np.ndarray]

_RESHAPES = ("Reshape", "Squeeze", "Unsqueeze")
_INT32, _INT64 = TensorProto.INT32, TensorProto.INT64
_SMALL = 64  # numbers
_WHOLE = 10**9  # the converter's end of an axis that is taken whole, or more


def simplify_slices(graph: GraphProto, values: Values) -> dict[str, str]:
    """Makes one Gather of a slice of one place that is squeezed, and drops slices that take everything, places of an
    axis that was put in before, and casts of indices to int32 and back.

    Args:
        graph: changed in place.
        values: of constants, by name.

    Returns:
        What is to be read in the place of an output that is no longer there.
    """
    made = {name: node for node in graph.node for name in node.output}
    instead: dict[str, str] = {}
    for node in graph.node:
        if before := _same_before(node, made, values):
            instead[node.output[0]] = before
        elif node.op_type == "Squeeze" and (sliced := made.get(node.input[0])) is not None:
            _squeeze_as_gather(graph, node, sliced, values)
    return {name: resolved(name, instead) for name in instead}


def _same_before(node: NodeProto, made: Mapping[str, NodeProto], values: Values) -> str | None:
    """The name of what a node only gives again."""
    if node.op_type == "Slice":
        return node.input[0] if _taken(node, values) == {} else None
    if node.op_type == "Gather":
        return _of_new_axis(node, made, values)
    return _index_before(node, made) if node.op_type == "Cast" else None


def _of_new_axis(node: NodeProto, made: Mapping[str, NodeProto], values: Values) -> str | None:
    """What a Gather reads of which it takes the one place of an axis that an Unsqueeze has just put in."""
    before, index = made.get(node.input[0]), values.get(node.input[1])
    if before is None or before.op_type != "Unsqueeze" or index is None or index.shape != () or index != 0:
        return None
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    return before.input[0] if [axis] == values.get(before.input[1], np.array([])).tolist() else None


def _index_before(node: NodeProto, made: Mapping[str, NodeProto]) -> str | None:
    """The places of a TopK that a Cast makes int64 again, where they were int32 in between."""
    before = made.get(node.input[0])
    if before is None or before.op_type != "Cast" or (_type_of(node), _type_of(before)) != (_INT64, _INT32):
        return None
    places = made.get(before.input[0])
    is_places = places is not None and places.op_type == "TopK" and before.input[0] == places.output[1]
    return before.input[0] if is_places else None


def _type_of(cast: NodeProto) -> int:
    return next(a.i for a in cast.attribute if a.name == "to")


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
    """A reshape to sizes that are all known, but for one, does not care what shape it begins with.

    An axis that is put in behind it is one of its sizes.
    """
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in values and 0 not in values[node.input[1]]:
            while (before := made.get(node.input[0])) is not None and before.op_type in _RESHAPES:
                node.input[0] = before.input[0]
        elif node.op_type == "Unsqueeze" and (before := made.get(node.input[0])) is not None:
            _unsqueeze_as_reshape(graph, node, before, values)


def _unsqueeze_as_reshape(graph: GraphProto, node: NodeProto, before: NodeProto, values: Values) -> None:
    if before.op_type != "Reshape" or before.input[1] not in values or 0 in values[before.input[1]]:
        return
    if node.input[1] not in values or min(axes := sorted(values[node.input[1]].tolist())) < 0:
        return
    sizes = values[before.input[1]].tolist()
    for axis in axes:
        sizes.insert(axis, 1)
    name = f"{node.output[0]}/shape"
    graph.initializer.append(numpy_helper.from_array(np.array(sizes, "int64"), name))
    node.CopyFrom(helper.make_node("Reshape", [before.input[0], name], node.output, node.name))


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


def resolved(name: str, instead: Mapping[str, str]) -> str:
    """What is read in the place of a name in the end."""
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
