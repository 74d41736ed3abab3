"""Each fused operator as ONNX nodes, in float32."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from keras_s2s.export.lowering import FusedCall
from keras_s2s.export.nodes import MICROSOFT, Nodes
from keras_s2s.export.step_attention import multi_head_attention
from keras_s2s.export.weights import WeightsFile


class Operators(Nodes):
    """Expands fused calls into nodes.

    Every method is named after its operator and returns the names of its outputs; nodes are gathered in `nodes` until
    the caller takes them. Weights become initializers of the outermost graph, once however often they are used.

    Args:
        calls: all that will be expanded.
        beside: those of graphs that share weights with this one, so that a table's storage can fit all its uses.
        weights: takes the variables; without it they become initializers with their values.
    """

    def __init__(
        self, calls: Sequence[FusedCall], beside: Iterable[FusedCall] = (), weights: WeightsFile | None = None
    ) -> None:
        super().__init__("fused")
        self._weights = weights
        self._names = _names(calls)
        self._products = {id(call.weights["kernel"]) for call in (*calls, *beside) if call.operator == "linear"}

    def expand(self, call: FusedCall, inputs: Sequence[str]) -> list[str]:
        """Makes the nodes of one call and returns the names of its outputs."""
        self.prefix = call.operator
        return getattr(self, call.operator)(call, *inputs)

    def linear(self, call: FusedCall, x: str, columns: str = "") -> list[str]:
        """MatMul, Add, activation; of the product's columns only those that are wanted."""
        kernel = self._variable(call.weights["kernel"], transposed=call.attributes["transposed"])
        y = self.node("MatMul", [x, self.node("Gather", [kernel, columns], axis=1) if columns else kernel])
        if "bias" in call.weights:
            bias = self._variable(call.weights["bias"])
            y = self.node("Add", [y, self.node("Gather", [bias, columns], axis=0) if columns else bias])
        activation = call.attributes["activation"]
        return [getattr(self, f"_{activation}")(y) if activation else y]

    def _relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def _tanh(self, x: str) -> str:
        return self.node("Tanh", [x])

    def _gelu(self, x: str) -> str:
        return self.node("Gelu", [x], domain=MICROSOFT)

    def _silu(self, x: str) -> str:
        return self.node("Mul", [x, self.node("Sigmoid", [x])])

    def embedding(self, call: FusedCall, ids: str) -> list[str]:
        """Gather. A table that is a product's matrix too is stored once, as the product wants it: (D, V).

        Its rows are looked up in what onnxruntime makes of it as it loads the graph.
        """
        table = call.weights["table"]
        if id(table) not in self._products:
            return [self.node("Gather", [self._variable(table), ids], axis=0)]
        rows = self.node("Transpose", [self._variable(table, transposed=True)], perm=[1, 0])
        return [self.node("Gather", [rows, ids], axis=0)]

    def layer_norm(self, call: FusedCall, x: str) -> list[str]:
        """LayerNormalization."""
        weights = [self._variable(call.weights[name]) for name in ("scale", "offset")]
        return [self.node("LayerNormalization", [x, *weights], axis=-1, epsilon=call.attributes["epsilon"])]

    def rms_norm(self, call: FusedCall, x: str) -> list[str]:
        """SimplifiedLayerNormalization of onnxruntime, which needs no newer release than the other operators."""
        scale = self._variable(call.weights["scale"])
        return [self.node("SimplifiedLayerNormalization", [x, scale], axis=-1, epsilon=call.attributes["epsilon"])]

    def logsumexp(self, call: FusedCall, x: str, wanted: str = "") -> list[str]:
        """max(x) - max(log_softmax(x)): a kernel of its own is quicker than exponentials and their sum.

        In a step of a search both are looked for in the blocks of `top_k`, which knows their largest values.
        """
        shape, last = call.attributes["shape"], self.integers(-1)
        size = block_size(shape[-1])
        if size is None or len(shape) != 3 or shape[1] != 1:
            return [self._if_wanted(wanted, x, lambda: self._largest_less_its_logarithm(x, shape, wanted))]
        _, of_blocks = self._blocks(x, shape[-1], size)
        chosen = self.node("Unsqueeze", [self.node("ArgMax", [of_blocks], axis=1, keepdims=1), last])  # (N, 1, 1)
        sizes = self.integers(-1, shape[-1] // size, size)

        def of_step() -> str:
            blocks = self.node("Reshape", [self._log_softmax(x, shape, wanted), sizes])
            block = self.node("GatherND", [blocks, chosen], batch_dims=1)
            largest = self.node("ReduceMax", [of_blocks, last], keepdims=1)
            return self.node("Sub", [largest, self.node("ReduceMax", [block, last], keepdims=0)])  # (N, 1)

        return [self._if_wanted(wanted, x, of_step)]

    def _log_softmax(self, x: str, shape: Sequence[int | None], wanted: str) -> str:
        logarithms = self.node("LogSoftmax", [x], axis=-1)
        if not wanted:  # A branch cannot write over what is outside of it.
            self.write_over(x, logarithms, shape)
        return logarithms

    def _largest_less_its_logarithm(self, x: str, shape: Sequence[int | None], wanted: str) -> str:
        last = self.integers(-1)
        largest = self.node("ReduceMax", [x, last], keepdims=0)
        logarithms = self._log_softmax(x, shape, wanted)
        return self.node("Sub", [largest, self.node("ReduceMax", [logarithms, last], keepdims=0)])

    def _if_wanted(self, wanted: str, x: str, make: Callable[[], str]) -> str:
        """What `make` makes of x, without its last axis, if that is wanted, or else zeros."""
        if not wanted:
            return make()
        return self.either(wanted, make, lambda: self.node("ConstantOfShape", [self.node("Shape", [x], end=-1)]))

    def _blocks(self, x: str, vocabulary: int, size: int) -> tuple[str, str]:
        """x of N·V numbers as (N, V / size, size), and the largest of each block."""
        blocks = self.node("Reshape", [x, self.integers(-1, vocabulary // size, size)])
        return blocks, self.node("ReduceMax", [blocks, self.integers(-1)], keepdims=0)

    def top_k(self, call: FusedCall, x: str, k: str) -> list[str]:
        """TopK over a vocabulary; over a large one, among the blocks whose largest values are the largest ones.

        TopK compares number after number, while the largest value of a block is found many at a time. Blocks are taken
        in the order in which they stand, so that of equal values the first comes first, as without blocks.
        """
        vocabulary = call.attributes["vocabulary"]
        size = block_size(vocabulary)
        k = self.node("Unsqueeze", [self.node("Cast", [k], to=TensorProto.INT64), self.integers(0)])
        if size is None:
            values, places = self.many("TopK", [x, k], 2)
            return [values, self.node("Cast", [places], to=TensorProto.INT32)]
        blocks, largest = self._blocks(x, vocabulary, size)
        if call.attributes["one"]:
            chosen = self.node("ArgMax", [largest], axis=1, keepdims=1)  # (N, 1)
            block = self.node("GatherND", [blocks, self.node("Unsqueeze", [chosen, self.integers(-1)])], batch_dims=1)
            block = self.node("Squeeze", [block, self.integers(1)])
            values = self.node("ReduceMax", [block, self.integers(-1)], keepdims=1)
            places = self.node("ArgMax", [block], axis=1, keepdims=1)
        else:
            some = self.node("Min", [k, self.integers(vocabulary // size)])
            _, chosen = self.many("TopK", [largest, some], 2)  # (N, C)
            chosen, _ = self.many("TopK", [chosen, some], 2, largest=0)
            found = self.node("GatherND", [blocks, self.node("Unsqueeze", [chosen, self.integers(-1)])], batch_dims=1)
            found = self.node("Reshape", [found, self.integers(0, -1)])  # (N, C · size)
            values, places = self.many("TopK", [found, k], 2)
            of_block = self.node("Div", [places, self.integers(size)])
            chosen = self.node("GatherElements", [chosen, of_block], axis=1)
            places = self.node("Mod", [places, self.integers(size)])
        places = self.node("Add", [self.node("Mul", [chosen, self.integers(size)]), places])
        return [values, self.node("Cast", [places], to=TensorProto.INT32)]

    def select(self, call: FusedCall, x: str, index: str) -> list[str]:
        """GatherND, row by row; of a matrix GatherElements, which takes the index as it is."""
        if call.attributes["axes"] == 2:
            return [self.node("GatherElements", [x, index], axis=1)]
        places = self.node("Unsqueeze", [self.node("Cast", [index], to=TensorProto.INT64), self.integers(-1)])
        return [self.node("GatherND", [x, places], batch_dims=1)]

    def attention(self, call: FusedCall, query: str, key: str, value: str, *mask_and_bias: str) -> list[str]:
        """MultiHeadAttention of onnxruntime; mask (N, S) int32, bias (N or 1, H or 1, T, S)."""
        inputs = [query, key, value, "", *([] if call.attributes["masked"] else [""]), *mask_and_bias]
        numbers = {"num_heads": call.attributes["heads"], "scale": call.attributes["scale"]}
        return [self.node("MultiHeadAttention", inputs, domain=MICROSOFT, **numbers)]

    def step_attention(
        self, call: FusedCall, query_key_value: str, key: str, value: str, seen: str, length: str
    ) -> list[str]:
        """GroupQueryAttention of onnxruntime, with a group for each head; the new token goes behind those seen.

        It stands for eight nodes, and reads no padding: a row's result does not depend on how much there is. It takes
        heads of a multiple of 8 alone.
        """
        heads, width = call.attributes["heads"], call.attributes["width"]
        if width % 8:
            return multi_head_attention(self, heads, width**-0.5, query_key_value, key, value, seen, length)
        inputs = [query_key_value, "", "", key, value, seen, length]
        numbers = {"num_heads": heads, "kv_num_heads": heads, "scale": width**-0.5}
        return self.many("GroupQueryAttention", inputs, 3, domain=MICROSOFT, **numbers)

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
            self.node("Transpose", [x], perm=[1, 0, 2]),
            self.constant(f"{path}/W", kernel.T[None]),
            self.constant(f"{path}/R", recurrent.T[None]),
            self.constant(f"{path}/B", bias[None]),
            lengths,
            *(self.node("Unsqueeze", [part, self.integers(0)]) for part in state),
        ]
        attributes |= {
            "hidden_size": recurrent.shape[0],
            "direction": "reverse" if call.attributes["backwards"] else "forward",
        }
        y, *after = self.many(operator, inputs, 1 + len(state), **attributes)
        y = self.node("Transpose", [self.node("Squeeze", [y, self.integers(1)])], perm=[1, 0, 2])
        after = [self.node("Squeeze", [part, self.integers(0)]) for part in after]
        if lengths:  # ONNX gives a row of length 0 a state of zeros, and not the one that it began with.
            some = self.node("Cast", [self.node("Unsqueeze", [lengths, self.integers(-1)])], to=TensorProto.BOOL)
            after = [self.node("Where", [some, new, old]) for new, old in zip(after, state, strict=True)]
        return [y, *after]

    def _name(self, variable: Any) -> str:
        return self._names[id(variable)]

    def _variable(self, variable: Any, transposed: bool = False) -> str:
        name = self._name(variable) + ("/transposed" if transposed else "")
        if name in self.initializers:
            return name
        if self._weights is not None:
            self.initializers[name] = self._weights.of_variable(name, variable, transposed)
            return name
        value = variable.numpy()
        return self.constant(name, value.T if transposed else value)


def block_size(vocabulary: int | None) -> int | None:
    """Into blocks of what size a vocabulary is cut, or None if it is not."""
    if vocabulary is None or vocabulary < 1024:
        return None
    return next((size for size in range(128, 31, -1) if vocabulary % size == 0), None)


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
