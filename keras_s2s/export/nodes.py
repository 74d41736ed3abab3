"""A graph in the making: nodes with names of their own, and constants that are stored once."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


class Nodes:
    """Gathers nodes and initializers.

    Args:
        name: what names of nodes and of their outputs begin with.

    Attributes:
        nodes: made since they were last taken.
        initializers: by name.
        sizes: of tensors whose sizes onnxruntime should know.
    """

    def __init__(self, name: str) -> None:
        self.nodes: list[NodeProto] = []
        self.sizes: list[ValueInfoProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.prefix, self._count = name, 0

    def take(self) -> list[NodeProto]:
        """The nodes made since the last time."""
        nodes, self.nodes = self.nodes, []
        return nodes

    def take_as(self, outputs: Sequence[str], names: Sequence[str]) -> list[NodeProto]:
        """The nodes made since the last time, of whose outputs some get the names of what they stand for."""
        instead = dict(zip(outputs, names, strict=True))
        nodes = self.take()
        for node in nodes:
            node.input[:] = [instead.get(name, name) for name in node.input]
            node.output[:] = [instead.get(name, name) for name in node.output]
        return nodes

    def take_sizes(self) -> list[ValueInfoProto]:
        """The sizes told since the last time."""
        sizes, self.sizes = self.sizes, []
        return sizes

    def write_over(self, before: str, after: str, shape: Sequence[int | None]) -> None:
        """Tells that a tensor in float32 has the sizes of the one that it was made of.

        Where an operator can do it, onnxruntime then writes the one over the other, if nobody reads that any more.
        """
        sizes = [f"{before}/size_{axis}" if size is None else size for axis, size in enumerate(shape)]
        self.sizes += [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in (before, after)]

    def store(self, graph: GraphProto) -> None:
        """Moves the initializers into a graph, one by one; what it has of a name, it keeps."""
        there = {tensor.name for tensor in graph.initializer}
        for name in list(self.initializers):
            tensor = self.initializers.pop(name)
            if name not in there:
                graph.initializer.append(tensor)

    def node(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Makes a node with one output, and gives the output's name."""
        return self.many(operator, inputs, 1, domain, **attributes)[0]

    def many(
        self, operator: str, inputs: Sequence[str], outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Makes a node with several outputs, and gives their names."""
        self._count += 1
        name = f"{self.prefix}_{self._count}"
        names = [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name, domain=domain, **attributes))
        return names

    def either(self, condition: str, then: Callable[[], str], otherwise: Callable[[], str]) -> str:
        """Makes an If of a scalar with what two functions make, of which each gives its output's name; in float32."""
        branches = {"then_branch": self._graph(then), "else_branch": self._graph(otherwise)}
        return self.node("If", [condition], **branches)

    def _graph(self, make: Callable[[], str]) -> GraphProto:
        outside, self.nodes = self.nodes, []
        output = helper.make_tensor_value_info(make(), TensorProto.FLOAT, None)
        inside, self.nodes = self.nodes, outside
        return helper.make_graph(inside, f"{output.name}_graph", [], [output])

    def constant(self, name: str, value: np.ndarray) -> str:
        """An initializer; one that is there already stays what it is."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, *values: int) -> str:
        """A vector of int64."""
        return self.constant("integers_" + "_".join(map(str, values)), np.array(values, "int64"))

    def whole(self, value: int) -> str:
        """A scalar of int64."""
        return self.constant(f"whole_{value}", np.array(value, "int64"))

    def number(self, value: float) -> str:
        """A scalar of float32."""
        return self.constant(f"number_{value:g}", np.array(value, "float32"))
