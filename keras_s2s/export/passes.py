"""Passes over a converted graph that change its shape and not its meaning."""

from collections import Counter
from collections.abc import Iterator, Mapping

import onnx
from onnx import AttributeProto, GraphProto, TensorProto, helper

from keras_s2s.export.alike import is_random, merge_alike
from keras_s2s.export.slices import constants, keep_sizes, reshape_at_once, resolved, simplify_slices


def tidy(graph: GraphProto) -> None:
    """Lets indices be negative, takes out of a loop what it never changes, computes once what is the same, and drops
    what nobody reads.

    Inner loops come first, so that what no loop changes ends outside all of them.
    """
    known = constants(all_graphs(graph))
    zeros = {name for name, value in known.items() if not value.any()}
    for inner in all_graphs(graph):
        _trust_indices(inner, zeros)
    for inner in all_graphs(graph):
        _read_instead(inner, simplify_slices(inner, known))
        reshape_at_once(inner, known)
    known = constants(all_graphs(graph))
    for inner in all_graphs(graph):
        keep_sizes(inner, known)
    for inner in all_graphs(graph):
        _hoist_invariants(inner)
        _move_invariants_out(inner)
    known = constants(all_graphs(graph))
    for inner in all_graphs(graph):
        merge_alike(inner, list(all_graphs(inner)), known)
    _remove_unused(graph)


def all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all in its nodes' attributes, inner ones first."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from all_graphs(attribute.g)
    yield graph


def remove_copies(graph: GraphProto) -> None:
    """Lets everyone read what an Identity copies; a result that is a copy is made under its own name."""
    for inner in all_graphs(graph):
        results = {output.name for output in inner.output}
        made = {name for node in inner.node for name in node.output}
        instead: dict[str, str] = {}
        kept = []
        for node in inner.node:
            source = resolved(node.input[0], instead) if node.op_type == "Identity" else ""
            if node.op_type != "Identity" or (node.output[0] in results and (source not in made or source in results)):
                kept.append(node)
            elif node.output[0] in results:
                instead[source] = node.output[0]
            else:
                instead[node.output[0]] = source
        for node in kept:
            node.output[:] = [resolved(name, instead) for name in node.output]
        for node in (node for one in all_graphs(inner) for node in one.node):
            node.input[:] = [resolved(name, instead) for name in node.input]
        replace_nodes(inner, kept)


def replace_nodes(graph: GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Makes `nodes` the nodes of a graph; some of them may be there already."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def _remove_unused(graph: GraphProto) -> None:
    """Drops nodes and initializers on which no output depends."""
    for inner in all_graphs(graph):
        needed = {output.name for output in inner.output}
        kept = []
        for node in reversed(inner.node):
            if needed & set(node.output):
                kept.append(node)
                needed |= _reads(node)
        replace_nodes(inner, kept[::-1])
    used = {name for inner in all_graphs(graph) for node in inner.node for name in node.input}
    used |= {output.name for inner in all_graphs(graph) for output in inner.output}
    for inner in all_graphs(graph):
        # One by one, for a list made anew would be a copy of all weights.
        for index in reversed(range(len(inner.initializer))):
            if inner.initializer[index].name not in used:
                del inner.initializer[index]


def remove_unread_inputs(graph: GraphProto) -> None:
    """Drops inputs that no node reads, such as options of a search that one of its steps does not look at."""
    read = {name for inner in all_graphs(graph) for node in inner.node for name in node.input}
    inputs = [value for value in graph.input if value.name in read]
    del graph.input[:]
    graph.input.extend(inputs)


def put_constants_where_they_are_read(graph: GraphProto) -> None:
    """Gives each inner graph the constants of the outermost one that its nodes read.

    onnxruntime prepacks a constant of the node's own graph, or of the one around it, and of none further out. A small
    constant moves into the graph that reads it last; each other reader has a copy. One in a file stays in the outermost
    graph, since onnxruntime reads files for no other when a model comes from memory. Inner graphs read it through a
    `Concat` of it alone, which onnxruntime computes when it loads the graph. (An `Identity` it takes away again, and of
    a `Reshape` some releases keep no copy of their own.) Look-ups read their tables where they are: no table is
    prepacked, and one that is read through a `Concat` would be in memory a second time.
    """
    graphs = list(all_graphs(graph))
    readers = Counter(name for one in graphs for name in {name for node in one.node for name in node.input})
    in_file = {tensor.name for tensor in graph.initializer if tensor.data_location == TensorProto.EXTERNAL}
    for inner in graphs[:-1]:
        _read_from_outside(inner, in_file)
        read = {name for node in inner.node for name in node.input} - in_file
        for tensor in [tensor for tensor in graph.initializer if tensor.name in read]:
            own = inner.initializer.add()
            own.CopyFrom(tensor)
            if readers[tensor.name] > 1:
                readers[tensor.name] -= 1
                own.name = _name_inside(inner, tensor.name)
                for node in inner.node:
                    node.input[:] = [own.name if name == tensor.name else name for name in node.input]
            else:
                graph.initializer.remove(tensor)


def _read_from_outside(inner: GraphProto, in_file: set[str]) -> None:
    """Lets the nodes of an inner graph, but for look-ups, read constants of the outermost one through a `Concat`."""
    read: dict[str, str] = {}
    for node in (node for node in inner.node if node.op_type != "Gather"):
        read |= {name: _name_inside(inner, name) for name in node.input if name in in_file}
        node.input[:] = [read.get(name, name) for name in node.input]
    here = [helper.make_node("Concat", [name], [own], own, axis=0) for name, own in read.items()]
    replace_nodes(inner, [*here, *inner.node])


def _name_inside(inner: GraphProto, name: str) -> str:
    """The name of a constant of the outermost graph in an inner graph that reads it."""
    return f"{inner.name}/{name}"


def put_constants_outside(graph: GraphProto) -> None:
    """Undoes `put_constants_where_they_are_read`, and what it did with constants in files before it left them outside:
    each reader had a copy.
    """
    *inner_graphs, _ = all_graphs(graph)
    there = {tensor.name for tensor in graph.initializer}
    for inner in inner_graphs:
        instead: dict[str, str] = {}
        for node in [node for node in inner.node if node.op_type == "Concat"]:
            if node.output[0] == _name_inside(inner, node.input[0]):
                instead[node.output[0]] = node.input[0]
                inner.node.remove(node)
        for tensor in inner.initializer:
            name = tensor.name.removeprefix(_name_inside(inner, ""))
            instead[tensor.name] = name
            if name not in there:
                there.add(name)
                graph.initializer.add().CopyFrom(tensor)
                graph.initializer[-1].name = name
        del inner.initializer[:]
        _read_instead(inner, instead)


def loops_of(graph: GraphProto) -> Iterator[tuple[onnx.NodeProto, GraphProto]]:
    """The loops that stand in a graph itself, and their bodies."""
    for loop in (node for node in graph.node if node.op_type == "Loop"):
        yield loop, next(a.g for a in loop.attribute if a.name == "body")


def _trust_indices(graph: GraphProto, zeros: set[str]) -> None:
    """Gather(x, Where(i < 0, i + n, i)) becomes Gather(x, i): ONNX counts negative indices from the end by itself."""
    made = {name: node for node in graph.node for name in node.output}
    for gather in (node for node in graph.node if node.op_type == "Gather"):
        where = made.get(_origin(gather.input[1], made))
        if where is None or where.op_type != "Where":
            continue
        condition, other, index = where.input
        less, add = made.get(_origin(condition, made)), made.get(_origin(other, made))
        if less is None or less.op_type != "Less" or add is None or add.op_type != "Add":
            continue
        if _is_cast_of(less.input[0], index, made) and less.input[1] in zeros and index in add.input:
            gather.input[1] = index


def _hoist_invariants(graph: GraphProto) -> None:
    """Loop inputs that a body hands through unchanged become references to the outer graph.

    Else nothing that depends on them is prepacked, and they are copied in every round.
    """
    made = {name: node for node in graph.node for name in node.output}
    results = {output.name for output in graph.output}
    for loop, body in loops_of(graph):
        inner = {name: node for node in body.node for name in node.output}
        for i in reversed(range(len(loop.input) - 2)):
            name = body.input[i + 2].name
            if _origin(body.output[i + 1].name, inner) != name or loop.output[i] in results:
                continue
            outer = _origin(loop.input[i + 2], made)
            _read_instead(body, {name: outer})
            if loop.output[i]:
                _read_instead(graph, {loop.output[i]: outer})
            del loop.input[i + 2], loop.output[i], body.input[i + 2], body.output[i + 1]


def _move_invariants_out(graph: GraphProto) -> None:
    """Nodes of loop bodies that read nothing that the loop changes are computed once, before it.

    They are computed even if the loop has no round, so they must not fail where the loop would not have run; shapes
    and weights, which is what such nodes are made of, do not depend on that.
    """
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Loop":
            nodes += _taken_out(next(a.g for a in node.attribute if a.name == "body"), graph)
        nodes.append(node)
    replace_nodes(graph, nodes)


def _taken_out(body: GraphProto, graph: GraphProto) -> list[onnx.NodeProto]:
    """Removes invariant nodes from a body, in their order; the constants that they read go to `graph` with them."""
    changing = {value.name for value in [*body.input, *body.output]}
    invariant = []
    for node in body.node:
        if (_reads(node) | _makes(node)) & changing or is_random(node):
            changing |= _makes(node)
        else:
            invariant.append(node)
    read: set[str] = set().union(*(_reads(node) for node in invariant))
    # A constant costs nothing where it is; it moves for those that read it.
    moved = [node for node in invariant if node.op_type != "Constant" or read & _makes(node)]
    names: set[str] = set().union(*map(_makes, moved))
    taken = [onnx.NodeProto.FromString(node.SerializeToString()) for node in moved]
    graph.initializer.extend(tensor for tensor in body.initializer if tensor.name in read)
    initializers = [tensor for tensor in body.initializer if tensor.name not in read]
    del body.initializer[:]
    body.initializer.extend(initializers)
    replace_nodes(body, [node for node in body.node if not names & _makes(node)])
    return taken


def _reads(node: onnx.NodeProto) -> set[str]:
    return {*node.input, *_read_inside(node)} - {""}


def _makes(node: onnx.NodeProto) -> set[str]:
    """An output that nobody reads may have no name."""
    return {*node.output} - {""}


def _read_instead(graph: GraphProto, instead: Mapping[str, str]) -> None:
    for node in (node for inner in all_graphs(graph) for node in inner.node):
        if not instead.keys().isdisjoint(node.input):
            node.input[:] = [instead.get(used, used) for used in node.input]


def _origin(name: str, made: Mapping[str, onnx.NodeProto]) -> str:
    while name in made and made[name].op_type == "Identity":
        name = made[name].input[0]
    return name


def _is_cast_of(name: str, other: str, made: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether a value is another, but for its type: the converter compares whole numbers as floats."""
    while name != other and name in made and made[name].op_type in ("Identity", "Cast"):
        name = made[name].input[0]
    return name == other


def _read_inside(node: onnx.NodeProto) -> set[str]:
    graphs = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
    return {
        name
        for graph in graphs
        for inner in all_graphs(graph)
        for name in [*(n for node in inner.node for n in node.input), *(o.name for o in inner.output)]
    }
