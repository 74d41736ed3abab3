"""The products and look-ups of an exported graph: what quantization is about."""

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from keras_s2s.export.passes import all_graphs


@dataclass(frozen=True)
class Product:
    """x W + b, of all columns of W or of some.

    Attributes:
        graph: where it stands.
        node: the MatMul.
        weight: the name of W, (I, O).
        columns: the name of the ids of the columns that are wanted, "" for all.
        add: what adds b, or None.
    """

    graph: GraphProto
    node: NodeProto
    weight: str
    columns: str
    add: NodeProto | None

    @property
    def bias(self) -> str:
        """The name of b, of the wanted columns; "" if there is none."""
        if self.add is None:
            return ""
        return next(name for name in self.add.input if name != self.node.output[0])


@dataclass(frozen=True)
class LookUp:
    """Rows of a table.

    Attributes:
        node: the Gather.
        table: the name of the initializer.
        turned: whether that is the table's transpose.
    """

    node: NodeProto
    table: str
    turned: bool


PARTS = ("encoder", "decoder", "embedding", "output")
_LAYERS = {
    "encoder": "encoder",
    "bridge": "encoder",
    "decoder": "decoder",
    "scheduled_sampling": "decoder",
    "logits": "output",
    "ctc": "output",
    "crf": "output",
}


def parts(model: ModelProto) -> dict[str, str]:
    """The part of the model that each matrix is of, one of `PARTS`, and each kernel of an LSTM, as they come.

    A table that is the output's matrix, too, is of the output, for it is stored once. What encodes and is not one of
    our layers is of the encoder.
    """
    multiplied = [product.weight for product in products(model)]
    kernels = [node.input[1] for node in lstms(model)]
    found = {name: _LAYERS.get(name.partition("/")[0], "encoder") for name in multiplied + kernels}
    tables = [look_up.table for look_up in look_ups(model)]
    return found | {name: "output" if name in multiplied else "embedding" for name in tables}


def lstms(model: ModelProto) -> Iterator[NodeProto]:
    """All LSTM layers whose kernels the graph holds."""
    held = {tensor.name for tensor in model.graph.initializer}
    for graph in all_graphs(model.graph):
        yield from (node for node in graph.node if node.op_type == "LSTM" and {*node.input[1:3]} <= held)


def matrices(model: ModelProto) -> dict[str, TensorProto]:
    """The matrices in float32 that a graph holds, by name."""
    return {t.name: t for t in model.graph.initializer if len(t.dims) == 2 and t.data_type == TensorProto.FLOAT}


def products(model: ModelProto) -> Iterator[Product]:
    """All products with a matrix that the graph holds."""
    weights, made = matrices(model), _made(model)
    vectors = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 1}
    for graph in all_graphs(model.graph):
        for node in (node for node in graph.node if node.op_type == "MatMul"):
            weight, columns = node.input[1], ""
            chosen = made.get(weight)
            if chosen is not None and chosen.op_type == "Gather" and chosen.input[0] in weights:
                weight, columns = chosen.input
            if weight in weights:
                yield Product(graph, node, weight, columns, _add_behind(graph, node, made, vectors))


def look_ups(model: ModelProto) -> Iterator[LookUp]:
    """All look-ups of the fused operator."""
    weights, made = matrices(model), _made(model)
    for graph in all_graphs(model.graph):
        for node in (node for node in graph.node if node.op_type == "Gather" and node.name.startswith("embedding_")):
            name, turned = node.input[0], False
            if (table := made.get(name)) is not None and table.op_type == "Transpose":
                name, turned = table.input[0], True
            if name in weights:
                yield LookUp(node, name, turned)


def _made(model: ModelProto) -> dict[str, NodeProto]:
    return {name: node for graph in all_graphs(model.graph) for node in graph.node for name in node.output}


def _add_behind(
    graph: GraphProto, product: NodeProto, made: dict[str, NodeProto], vectors: set[str]
) -> NodeProto | None:
    """The Add of a vector that alone reads a product."""
    (y,) = product.output
    readers = [node for node in graph.node if y in node.input]
    if len(readers) != 1 or readers[0].op_type != "Add" or any(output.name == y for output in graph.output):
        return None
    (other,) = (name for name in readers[0].input if name != y)
    chosen = made.get(other)
    if chosen is not None and chosen.op_type == "Gather":
        other = chosen.input[0]
    return readers[0] if other in vectors else None
