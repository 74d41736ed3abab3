"""Each fused operator as ONNX nodes, in fp32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from keras_s2s.export.lowering import FusedCall

MICROSOFT = "com.microsoft"


class Float32Operators:
    """Expands fused calls into nodes.

    Every method is named after its operator and returns the names of its outputs; nodes are gathered in `nodes` until
    the caller takes them. Weights become initializers of the outermost graph, once however often they are used.

    Args:
        calls: all that will be expanded, so that a table's storage can fit all its uses.

    Attributes:
        nodes: made since they were last taken.
        initializers: by name.
    """

    def __init__(self, calls: Sequence[FusedCall]) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self._products = {call.weights["kernel"].path for call in calls if call.operator == "linear"}
        self._count = 0

    def expand(self, call: FusedCall, inputs: Sequence[str]) -> list[str]:
        """Makes the nodes of one call and returns the names of its outputs."""
        return getattr(self, call.operator)(call, *inputs)

    def linear(self, call: FusedCall, x: str) -> list[str]:
        """MatMul, Add, activation."""
        y = self._product(call, x)
        if "bias" in call.weights:
            y = self._node("Add", [y, self._variable(call.weights["bias"])])
        activation = call.attributes["activation"]
        return [self._node(activation.capitalize(), [y]) if activation else y]

    def _product(self, call: FusedCall, x: str) -> str:
        kernel = call.weights["kernel"]
        return self._node("MatMul", [x, self._variable(kernel, transposed=call.attributes["transposed"])])

    def embedding(self, call: FusedCall, ids: str) -> list[str]:
        """Gather. A table that is a product's matrix too is stored once, as the product wants it: (D, V)."""
        table = call.weights["table"]
        if table.path not in self._products:
            return [self._node("Gather", [self._variable(table), ids], axis=0)]
        columns = self._node("Gather", [self._variable(table, transposed=True), ids], axis=1)  # (D, N, T)
        return [self._node("Transpose", [columns], perm=[1, 2, 0])]

    def layer_norm(self, call: FusedCall, x: str) -> list[str]:
        """LayerNormalization."""
        weights = [self._variable(call.weights[name]) for name in ("scale", "offset")]
        return [self._node("LayerNormalization", [x, *weights], axis=-1, epsilon=call.attributes["epsilon"])]

    def attention(self, call: FusedCall, query: str, key: str, value: str, mask: str) -> list[str]:
        """MultiHeadAttention of onnxruntime; mask (N, S) int32."""
        inputs = [query, key, value, "", mask]
        return [self._node("MultiHeadAttention", inputs, domain=MICROSOFT, num_heads=call.attributes["heads"])]

    def lstm(self, call: FusedCall, x: str, h: str, c: str, lengths: str = "") -> list[str]:
        """LSTM, time first and with an axis for directions; gates in ONNX's order i o f c, Keras has i f c o."""
        names = ("kernel", "recurrent_kernel", "bias")
        kernel, recurrent, bias = (_gates_iofc(call.weights[name].numpy()) for name in names)
        path = call.weights["kernel"].path
        inputs = [
            self._node("Transpose", [x], perm=[1, 0, 2]),
            self._constant(f"{path}/W", kernel.T[None]),
            self._constant(f"{path}/R", recurrent.T[None]),
            self._constant(f"{path}/B", np.concatenate([bias, np.zeros_like(bias)])[None]),
            lengths,
            self._node("Unsqueeze", [h, self._integers(0)]),
            self._node("Unsqueeze", [c, self._integers(0)]),
        ]
        direction = "reverse" if call.attributes["backwards"] else "forward"
        y, h, c = self._nodes("LSTM", inputs, 3, hidden_size=recurrent.shape[0], direction=direction)
        y = self._node("Transpose", [self._node("Squeeze", [y, self._integers(1)])], perm=[1, 0, 2])
        return [
            y,
            self._node("Squeeze", [h, self._integers(0)]),
            self._node("Squeeze", [c, self._integers(0)]),
        ]

    def _node(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        return self._nodes(operator, inputs, 1, domain, **attributes)[0]

    def _nodes(
        self, operator: str, inputs: Sequence[str], outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        self._count += 1
        names = [f"fused_{self._count}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(operator, inputs, names, f"fused_{self._count}", domain=domain, **attributes)
        )
        return names

    def _variable(self, variable: Any, transposed: bool = False) -> str:
        name = f"{variable.path}/transposed" if transposed else variable.path
        if name in self.initializers:
            return name
        value = variable.numpy()
        return self._constant(name, value.T if transposed else value)

    def _integers(self, *values: int) -> str:
        return self._constant("integers_" + "_".join(map(str, values)), np.array(values, "int64"))

    def _constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name


def _gates_iofc(weights: np.ndarray) -> np.ndarray:
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)
