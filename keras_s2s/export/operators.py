"""Each fused operator as ONNX nodes, in fp32."""

from collections import Counter
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
        self._names = _names(calls)
        self._products = {self._name(call.weights["kernel"]) for call in calls if call.operator == "linear"}
        self._count = 0

    def expand(self, call: FusedCall, inputs: Sequence[str]) -> list[str]:
        """Makes the nodes of one call and returns the names of its outputs."""
        return getattr(self, call.operator)(call, *inputs)

    def linear(self, call: FusedCall, x: str, columns: str = "") -> list[str]:
        """MatMul, Add, activation; of the product's columns only those that are wanted."""
        y = self._product(call, x, columns)
        if "bias" in call.weights:
            bias = self._variable(call.weights["bias"])
            y = self._node("Add", [y, self._node("Gather", [bias, columns], axis=0) if columns else bias])
        activation = call.attributes["activation"]
        return [getattr(self, f"_{activation}")(y) if activation else y]

    def _product(self, call: FusedCall, x: str, columns: str) -> str:
        kernel = self._variable(call.weights["kernel"], transposed=call.attributes["transposed"])
        return self._node("MatMul", [x, self._node("Gather", [kernel, columns], axis=1) if columns else kernel])

    def _relu(self, x: str) -> str:
        return self._node("Relu", [x])

    def _tanh(self, x: str) -> str:
        return self._node("Tanh", [x])

    def _gelu(self, x: str) -> str:
        return self._node("Gelu", [x], domain=MICROSOFT)

    def _silu(self, x: str) -> str:
        return self._node("Mul", [x, self._node("Sigmoid", [x])])

    def embedding(self, call: FusedCall, ids: str) -> list[str]:
        """Gather. A table that is a product's matrix too is stored once, as the product wants it: (D, V)."""
        table = call.weights["table"]
        if self._name(table) not in self._products:
            return [self._node("Gather", [self._variable(table), ids], axis=0)]
        columns = self._node("Gather", [self._variable(table, transposed=True), ids], axis=1)  # (D, N, T)
        return [self._node("Transpose", [columns], perm=[1, 2, 0])]

    def layer_norm(self, call: FusedCall, x: str) -> list[str]:
        """LayerNormalization."""
        weights = [self._variable(call.weights[name]) for name in ("scale", "offset")]
        return [self._node("LayerNormalization", [x, *weights], axis=-1, epsilon=call.attributes["epsilon"])]

    def rms_norm(self, call: FusedCall, x: str) -> list[str]:
        """SimplifiedLayerNormalization of onnxruntime, which needs no newer release than the other operators."""
        scale = self._variable(call.weights["scale"])
        return [self._node("SimplifiedLayerNormalization", [x, scale], axis=-1, epsilon=call.attributes["epsilon"])]

    def attention(self, call: FusedCall, query: str, key: str, value: str, *mask_and_bias: str) -> list[str]:
        """MultiHeadAttention of onnxruntime; mask (N, S) int32, bias (N or 1, H or 1, T, S)."""
        inputs = [query, key, value, "", *([] if call.attributes["masked"] else [""]), *mask_and_bias]
        return [self._node("MultiHeadAttention", inputs, domain=MICROSOFT, num_heads=call.attributes["heads"])]

    def lstm(self, call: FusedCall, x: str, h: str, c: str, lengths: str = "") -> list[str]:
        """LSTM; gates in ONNX's order i o f c, Keras has i f c o."""
        kernel, recurrent, bias = self._recurrent_weights(call, (0, 3, 1, 2))
        bias = np.concatenate([bias, np.zeros_like(bias)])
        return self._recurrent("LSTM", call, x, [h, c], lengths, (kernel, recurrent, bias))

    def gru(self, call: FusedCall, x: str, h: str, lengths: str = "") -> list[str]:
        """GRU with the reset gate behind the recurrent product; gates in the order z r h, as Keras has them."""
        kernel, recurrent, bias = self._recurrent_weights(call, (0, 1, 2))
        return self._recurrent("GRU", call, x, [h], lengths, (kernel, recurrent, bias.ravel()), linear_before_reset=1)

    def _recurrent_weights(self, call: FusedCall, gates: Sequence[int]) -> list[np.ndarray]:
        """Kernel, recurrent kernel and bias with their gates in this order."""
        values = [call.weights[name].numpy() for name in ("kernel", "recurrent_kernel", "bias")]
        split = [np.split(value, len(gates), axis=-1) for value in values]
        return [np.concatenate([parts[gate] for gate in gates], axis=-1) for parts in split]

    def _recurrent(
        self,
        operator: str,
        call: FusedCall,
        x: str,
        state: Sequence[str],
        lengths: str,
        weights: tuple[np.ndarray, np.ndarray, np.ndarray],
        **attributes: Any,
    ) -> list[str]:
        """Time first, and with an axis for directions."""
        kernel, recurrent, bias = weights
        path = self._name(call.weights["kernel"])
        inputs = [
            self._node("Transpose", [x], perm=[1, 0, 2]),
            self._constant(f"{path}/W", kernel.T[None]),
            self._constant(f"{path}/R", recurrent.T[None]),
            self._constant(f"{path}/B", bias[None]),
            lengths,
            *(self._node("Unsqueeze", [part, self._integers(0)]) for part in state),
        ]
        attributes |= {
            "hidden_size": recurrent.shape[0],
            "direction": "reverse" if call.attributes["backwards"] else "forward",
        }
        y, *after = self._nodes(operator, inputs, 1 + len(state), **attributes)
        y = self._node("Transpose", [self._node("Squeeze", [y, self._integers(1)])], perm=[1, 0, 2])
        after = [self._node("Squeeze", [part, self._integers(0)]) for part in after]
        if lengths:  # ONNX gives a row of length 0 a state of zeros, and not the one that it began with.
            some = self._node("Cast", [self._node("Unsqueeze", [lengths, self._integers(-1)])], to=TensorProto.BOOL)
            after = [self._node("Where", [some, new, old]) for new, old in zip(after, state, strict=True)]
        return [y, *after]

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

    def _name(self, variable: Any) -> str:
        return self._names[id(variable)]

    def _variable(self, variable: Any, transposed: bool = False) -> str:
        name = self._name(variable) + ("/transposed" if transposed else "")
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


def _names(calls: Sequence[FusedCall]) -> dict[int, str]:
    """A name for each variable, by its identity: its path, with a number where models of an ensemble share one."""
    names: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for variable in (variable for call in calls for variable in call.weights.values()):
        if id(variable) not in names:
            seen[variable.path] += 1
            names[id(variable)] = (
                variable.path if seen[variable.path] == 1 else f"{variable.path}/{seen[variable.path]}"
            )
    return names
