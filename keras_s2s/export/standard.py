"""Standard operators in the place of those that only onnxruntime knows, so that a graph runs in any runtime of ONNX."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, defs, helper

from keras_s2s.errors import UserError
from keras_s2s.export.nodes import Nodes
from keras_s2s.export.passes import all_graphs, replace_nodes, tidy
from keras_s2s.export.step_attention import plain_attention
from keras_s2s.export.weights import values_of

OperatorSet = Literal["onnxruntime", "standard"]

# As far below the scores of attention as in `layers.fused`, so that nothing is left of what is masked.
_MASKED = -1e9
# A gate of an LSTM is 0 or 1 in float32 this far from zero, or too near to them to be seen: sigmoid(-40) is 4e-18.
_SHUT = 40.0


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

    It says the same: whole numbers stay whole numbers, so that a row in int8 depends on nothing but itself. An LSTM or
    GRU is not told the lengths of its rows, since several runtimes do not look at them.

    Raises:
        UserError: an operator has no standard form here.
    """
    result = ModelProto()
    result.CopyFrom(model)
    standard = _Standard(result.graph)
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
    """Makes the standard forms.

    Args:
        graph: the outermost graph, which holds the weights.
    """

    def __init__(self, graph: GraphProto) -> None:
        super().__init__("standard")
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._read = {name for inner in all_graphs(graph) for node in inner.node for name in node.input}
        self._read |= {output.name for inner in all_graphs(graph) for output in inner.output}
        self._forms: dict[str, Callable[..., str]] = {
            "Gelu": self._gelu,
            "MatMulIntegerToFloat": self._product,
            "MultiHeadAttention": self._attention,
            "SimplifiedLayerNormalization": self._rms_norm,
        }

    def instead_of(self, node: NodeProto) -> list[NodeProto]:
        """The nodes that stand for a node: itself, or the standard ones that compute its outputs."""
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type in self._forms:
            outputs = [self._forms[node.op_type](*node.input, **attributes)]
        elif node.op_type == "GroupQueryAttention":
            outputs = self._step_attention(*filter(None, node.input), **attributes)
        elif node.op_type in ("GRU", "LSTM") and node.input[4]:
            outputs = self._without_lengths(node, **attributes)
        else:
            return [node]
        return self.take_as(outputs, node.output)

    def _without_lengths(self, node: NodeProto, direction: bytes, **attributes: Any) -> list[str]:
        """An LSTM or GRU that padding cannot reach, whether its runtime looks at `sequence_lens` or not.

        Padding stands behind what is real, so real steps come right by themselves; a row that is read from its end is
        turned round before and after. Outputs at padding are zeros, and the last hidden state is the output of the last
        real step. A row of length 0 has some state, and not the zeros of ONNX: `operators` takes its first one instead.
        """
        x, kernel, recurrent, bias, lengths, *state = node.input  # x (T, N, I)
        lengths = self.node("Cast", [lengths], to=TensorProto.INT64)
        some = self.node("Max", [lengths, self.integers(1)])  # a row of nothing is not turned round either
        steps = self.node("Squeeze", [self.node("Shape", [x], end=1)])
        steps = self.node("Range", [self.whole(0), steps, self.whole(1)])
        real = self.node("Less", [self.node("Unsqueeze", [steps, self.integers(1)]), lengths])  # (T, N)
        backwards = direction == b"reverse"
        if backwards:
            x = self._turned(x, some)
        if node.op_type == "LSTM" and node.output[2] in self._read:
            x, kernel = self._kept_at_padding(x, kernel, recurrent, bias, real)
        inputs = [x, kernel, recurrent, bias, "", *state]
        y, hidden, *cell = self.many(node.op_type, inputs, 1 + len(state), direction="forward", **attributes)
        y = self.node("Squeeze", [y, self.integers(1)])  # (T, N, U)
        rows = self.node("Transpose", [y], perm=[1, 0, 2])
        last = self.node("Unsqueeze", [self.node("Sub", [some, self.integers(1)]), self.integers(1)])
        hidden = self.node("Unsqueeze", [self.node("GatherND", [rows, last], batch_dims=1), self.integers(0)])
        y = self._turned(y, some) if backwards else y
        y = self.node("Where", [self.node("Unsqueeze", [real, self.integers(2)]), y, self.number(0.0)])
        return [self.node("Unsqueeze", [y, self.integers(1)]), hidden, *cell]

    def _turned(self, x: str, lengths: str) -> str:
        """Each row of (T, N, ...) from its end."""
        return self.node("ReverseSequence", [x, lengths], time_axis=0, batch_axis=1)

    def _kept_at_padding(self, x: str, kernel: str, recurrent: str, bias: str, real: str) -> tuple[str, str]:
        """An input more, 1 at padding, that opens an LSTM's forget gates there and shuts the others.

        So the cell state after the last step is that after the last real one. It shuts them by more than the hidden
        state and the offsets can open them, and what else the input has at padding is not looked at.
        """
        padding = self.node("Unsqueeze", [self.node("Not", [real]), self.integers(2)])
        x = self.node("Where", [padding, self.number(0.0), x])
        x = self.node("Concat", [x, self.node("Cast", [padding], to=TensorProto.FLOAT)], axis=2)
        values, by_state, offsets = (values_of(self._weights[name]) for name in (kernel, recurrent, bias))
        signs = np.repeat(np.array([-1, -1, 1, 0], "float32"), values.shape[1] // 4)  # gates i, o, f, c
        most = _SHUT + np.abs(by_state).sum(-1) + np.abs(offsets).reshape(1, 2, -1).sum(1)  # a state is within 1
        return x, self.constant(f"{kernel}/padding", np.concatenate([values, (signs * most)[..., None]], axis=-1))

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

    def _step_attention(self, *inputs: str, num_heads: int, scale: float, **_: Any) -> list[str]:
        query, key, value, mask = plain_attention(self, num_heads, *inputs)
        return [self._attention(query, key, value, "", mask, num_heads=num_heads, scale=scale), key, value]


# What becomes of a finished graph.
OPERATORS: dict[OperatorSet, Callable[[ModelProto], ModelProto]] = {
    "onnxruntime": lambda model: model,
    "standard": standardize,
}
