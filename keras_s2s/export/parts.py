"""Parts of models that several programs compute: each is traced and converted once, and its nodes are put into each."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from onnx import GraphProto, ModelProto, NodeProto, helper

from keras_s2s.export.passes import all_graphs, replace_nodes
from keras_s2s.layers import fused
from keras_s2s.typing import Tensor


class Part:
    """A function of tensors that programs share: its trace, which has markers of its own.

    Args:
        function: makes tensors of tensors, and reads no others.
        arguments: whose shapes and types it is traced for.
        markers: takes the calls of fused operators.

    Attributes:
        signature: the tensors that it takes.
        concrete: a function of tensors, by place, to tensors by name, for what `function` makes.
        calls: the calls that its markers stand for.
        graph: what the trace is converted to, once it is.
    """

    def __init__(self, function: Callable[..., Any], arguments: Any, markers: Any) -> None:
        self._found: Any = None  # What the function gives, in its structure.
        self._given: list[Tensor] = []

        def run(*tensors: Tensor) -> dict[str, Tensor]:
            self._given = [*tensors]
            self._found = function(*_packed(arguments, tensors))
            return {f"output_{number:03}": x for number, x in enumerate(self._made())}

        given = enumerate(tensors_of(arguments))
        self.signature = [tf.TensorSpec(x.shape, x.dtype, f"input_{number}") for number, x in given]
        with fused.lowering(markers):
            self.concrete = tf.function(run, input_signature=self.signature, autograph=False).get_concrete_function()
        self.calls: dict[str, Any] = markers.calls
        self.graph: GraphProto | None = None

    def _made(self) -> list[Tensor]:
        """What the function gives beside tensors that it was given: a loop must see that these do not change."""
        given = set(map(id, self._given))
        return [x for x in tensors_of(self._found) if id(x) not in given]

    def outputs(self, given: Sequence[Tensor], made: Sequence[Tensor]) -> Any:
        """What the function gives, if it is given some tensors and has made others."""
        now = dict(zip(map(id, [*self._given, *self._made()]), [*given, *made], strict=True))
        return _packed(self._found, [now[id(x)] for x in tensors_of(self._found)])

    def get_concrete_function(self, *_: Any) -> Any:
        """As that of a `tf.function`, for the converter."""
        return self.concrete


class Parts:
    """The parts of all programs that are exported together, each traced once for all calls with the same shapes."""

    def __init__(self) -> None:
        self._parts: dict[Any, Part] = {}
        self._numbers = itertools.count()

    def next_number(self) -> int:
        """A number for a marker."""
        return next(self._numbers)

    def of(self, function: Callable[..., Any], name: Any, arguments: Any, markers: Any) -> Part:
        """The part of a name for arguments of such shapes; if there is none yet, `markers` takes its calls."""
        key = name, str(tf.nest.map_structure(lambda x: x if x is None else tf.TensorSpec(x.shape, x.dtype), arguments))
        if key not in self._parts:
            self._parts[key] = Part(function, arguments, markers)
        return self._parts[key]


def tensors_of(structure: Any) -> list[Tensor]:
    """The tensors in a nested structure."""
    return [x for x in tf.nest.flatten(structure) if x is not None]


def _packed(structure: Any, tensors: Sequence[Tensor]) -> Any:
    """A structure with other tensors in the places of its own."""
    left = iter(tensors)
    return tf.nest.pack_sequence_as(structure, [x if x is None else next(left) for x in tf.nest.flatten(structure)])


def put_in(model: ModelProto, part_of: Callable[[NodeProto], GraphProto | None]) -> bool:
    """Puts nodes in the place of the markers of parts, and says whether there were any.

    Args:
        model: changed; its outermost graph takes the constants.
        part_of: the part that a node stands for, or None.
    """
    found = False
    for graph in all_graphs(model.graph):
        nodes: list[NodeProto] = []
        for node in graph.node:
            part = part_of(node)
            if part is None:
                nodes.append(node)
                continue
            found, own = True, _in_place_of(node, part)
            nodes += own.node
            model.graph.initializer.extend(own.initializer)
        if len(nodes) != len(graph.node):
            replace_nodes(graph, nodes)
    return found


def _in_place_of(marker: NodeProto, part: GraphProto) -> GraphProto:
    """A copy of a part that reads and gives what its marker does, and whose own names are nowhere else."""
    result = GraphProto()
    result.CopyFrom(part)
    made = {name for node in part.node for name in node.output}
    names = {"": "", **{value.name: marker.input[_number(value.name)] for value in part.input}}
    outputs = {value.name: marker.output[_number(value.name)] for value in part.output}
    names |= {name: given for name, given in outputs.items() if name in made}
    for graph in all_graphs(result):
        for node in graph.node:
            node.name = f"{marker.name}/{node.name}"
            for places in (node.input, node.output):
                places[:] = [names.get(name, f"{marker.name}/{name}") for name in places]
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = names.get(value.name, f"{marker.name}/{value.name}")
    others = [name for name in outputs if name not in made]  # constants, or inputs under another name
    result.node.extend(
        helper.make_node("Identity", [names.get(name, f"{marker.name}/{name}")], [outputs[name]]) for name in others
    )
    return result


def _number(name: str) -> int:
    """The place of an input or an output of a part."""
    return int(name.rpartition("_")[2])
