"""Standard operators in the place of those that only onnxruntime knows, so that a graph runs in any runtime of ONNX."""

import math
from collections.abc import Callable
from typing import Literal

from onnx import ModelProto, NodeProto, TensorProto, defs, helper

from keras_s2s.errors import UserError
from keras_s2s.export.nodes import Nodes
from keras_s2s.export.passes import all_graphs, replace_nodes, tidy

OperatorSet = Literal["onnxruntime", "standard"]

# As far below the scores of attention as in `layers.fused`, so that nothing is left of what is masked.
_MASKED = -1e9


def only_in_onnxruntime(model: ModelProto) -> list[str]:
    """The operators of a graph that ONNX does not define, by name.

    Most are of the domain `com.microsoft`; onnxruntime has some of its own in the domain of ONNX, too.
    """
    (opset,) = (imported.version for imported in model.opset_import if not imported.domain)
    return sorted(
        {
            node.op_type
            for graph in all_graphs(model.graph)
            for node in graph.node
            if node.domain or not defs.has(node.op_type, opset, "")
        }
    )


def standardize(model: ModelProto) -> ModelProto:
    """Makes a graph of standard operators alone of one that `operators` or `quantize` made.

    It says the same: whole numbers stay whole numbers, so that a row in int8 depends on nothing but itself.

    Raises:
        UserError: an operator has no standard form here.
    """
    result = ModelProto()
    result.CopyFrom(model)
    standard = _Standard()
    for graph in all_graphs(result.graph):
        replace_nodes(graph, [new for node in graph.node for new in standard.instead_of(node)])
    standard.store(result.graph)
    tidy(result.graph)
    imports = [helper.make_opsetid("", imported.version) for imported in model.opset_import if not imported.domain]
    del result.opset_import[:]
    result.opset_import.extend(imports)
    if left := only_in_onnxruntime(result):
        raise UserError(f"export: no standard form of {', '.join(left)}; export with operators 'onnxruntime'")
    return result


class _Standard(Nodes):
    def __init__(self) -> None:
        super().__init__("standard")
        self._forms: dict[str, Callable[..., str]] = {
            "Gelu": self._gelu,
            "MatMulIntegerToFloat": self._product,
            "MultiHeadAttention": self._attention,
            "SimplifiedLayerNormalization": self._rms_norm,
        }

    def instead_of(self, node: NodeProto) -> list[NodeProto]:
        """The nodes that stand for a node: itself, or the standard ones that compute its output."""
        if node.op_type not in self._forms:
            return [node]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        self._forms[node.op_type](*node.input, **attributes)
        nodes = self.take()
        nodes[-1].output[0] = node.output[0]
        return nodes

    def _gelu(self, x: str) -> str:
        """x / 2 · (1 + erf(x / √2))."""
        error = self.node("Erf", [self.node("Mul", [x, self.number(math.sqrt(0.5))])])
        half = self.node("Mul", [x, self.number(0.5)])
        return self.node("Mul", [half, self.node("Add", [error, self.number(1.0)])])

    def _rms_norm(self, x: str, scale: str, axis: int, epsilon: float) -> str:
        """x / √(mean(x²) + ε) · scale."""
        mean = self.node("ReduceMean", [self.node("Mul", [x, x]), self.integers(axis)], keepdims=1)
        root = self.node("Sqrt", [self.node("Add", [mean, self.number(epsilon)])])
        return self.node("Mul", [self.node("Div", [x, root]), scale])

    def _product(
        self, x: str, values: str, step: str, scales: str, zero: str, values_zero: str = "", bias: str = ""
    ) -> str:
        """(x - zero) W in whole numbers, times step · scales, + b."""
        whole = self.node("Cast", [self.node("MatMulInteger", [x, values, zero])], to=TensorProto.FLOAT)
        y = self.node("Mul", [whole, self.node("Mul", [step, scales])])
        return self.node("Add", [y, bias]) if bias else y

    def _attention(
        self,
        query: str,
        key: str,
        value: str,
        _: str,
        mask: str = "",
        bias: str = "",
        *,
        num_heads: int,
        scale: float,
    ) -> str:
        """softmax(scale · q kᵀ + bias, masked) v, with q (N, T, D); k and v (N, H, S, d); mask (N, S)."""
        split = self.integers(0, 0, num_heads, round(scale**-2))  # the scale is 1 / √d
        heads = self.node("Transpose", [self.node("Reshape", [query, split])], perm=[0, 2, 1, 3])
        turned = self.node("Transpose", [key], perm=[0, 1, 3, 2])
        scores = self.node("MatMul", [self.node("Mul", [heads, self.number(scale)]), turned])  # (N, H, T, S)
        if bias:
            scores = self.node("Add", [scores, bias])
        if mask:
            seen = self.node("Unsqueeze", [self.node("Cast", [mask], to=TensorProto.BOOL), self.integers(1, 2)])
            scores = self.node("Where", [seen, scores, self.number(_MASKED)])
        context = self.node("MatMul", [self.node("Softmax", [scores], axis=-1), value])
        context = self.node("Transpose", [context], perm=[0, 2, 1, 3])
        return self.node("Reshape", [context, self.node("Shape", [query])])


# What becomes of a finished graph.
OPERATORS: dict[OperatorSet, Callable[[ModelProto], ModelProto]] = {
    "onnxruntime": lambda model: model,
    "standard": standardize,
}
