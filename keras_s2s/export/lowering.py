"""Fused operators as opaque nodes: what stands in the trace, and in the converted graph until it is expanded.

A marker carries activations only. Its key names a `FusedCall` that holds the weights, so that neither the trace nor
the converter ever sees them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from onnx import TensorProto

from keras_s2s.export.parts import Parts, tensors_of
from keras_s2s.typing import Tensor

DOMAIN = "keras_s2s"
OPAQUE = "FusedCall"
PART = "part"


@dataclass(frozen=True)
class FusedCall:
    """One call of a fused operator.

    Attributes:
        operator: its name in `layers.fused`.
        weights: the variables it reads, by the argument's name.
        attributes: what else it needs to know.
    """

    operator: str
    weights: dict[str, keras.Variable] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


class Markers:
    """The backend of `layers.fused.lowering` for export: each method leaves a marker in the trace.

    Args:
        parts: those of all programs that are exported together.

    Attributes:
        calls: the calls that the markers stand for, by key; those of parts among them.
    """

    def __init__(self, parts: Parts) -> None:
        self.calls: dict[str, FusedCall] = {}
        self._parts = parts

    def part(self, function: Callable[..., Any], name: Any, *arguments: Any) -> Any:
        """See `layers.fused.part`."""
        part = self._parts.of(function, name, arguments, Markers(self._parts))
        self.calls |= part.calls
        tensors = tensors_of(arguments)
        call = FusedCall(PART, attributes={"part": part})
        specs = [*part.concrete.structured_outputs.values()]
        made = self._mark(call, tensors, [spec.shape for spec in specs], [spec.dtype for spec in specs])
        return part.outputs(tensors, made)

    def _mark(
        self, call: FusedCall, inputs: list[Tensor], shapes: list[tuple], dtypes: Sequence[Any] = ()
    ) -> list[Tensor]:
        """`dtypes` of the outputs, float32 if there are none."""
        key = f"{call.operator}_{self._parts.next_number()}"
        self.calls[key] = call
        dtypes = dtypes or [tf.float32] * len(shapes)
        outputs = tf.numpy_function(_never_run, [*inputs, tf.constant(key)], dtypes, False, key)
        # As an operator the shape outlives the conversion of the trace to a graph of TensorFlow.
        return [tf.ensure_shape(output, shape) for output, shape in zip(outputs, shapes, strict=True)]

    def linear(
        self,
        x: Tensor,
        kernel: Any,
        bias: Any = None,
        activation: Any = None,
        transposed: bool = False,
        columns: Tensor | None = None,
    ) -> Tensor:
        """See `layers.fused.linear`."""
        weights = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
        call = FusedCall("linear", weights, {"activation": activation, "transposed": transposed})
        if columns is None:
            return self._mark(call, [x], [(*x.shape[:-1], kernel.shape[0 if transposed else 1])])[0]
        return self._mark(call, [x, columns], [(*x.shape[:-1], columns.shape[0])])[0]

    def embedding(self, ids: Tensor, table: Any) -> Tensor:
        """See `layers.fused.embedding`."""
        return self._mark(FusedCall("embedding", {"table": table}), [ids], [(*ids.shape, table.shape[1])])[0]

    def layer_norm(self, x: Tensor, scale: Any, offset: Any, epsilon: float) -> Tensor:
        """See `layers.fused.layer_norm`."""
        call = FusedCall("layer_norm", {"scale": scale, "offset": offset}, {"epsilon": epsilon})
        return self._mark(call, [x], [x.shape])[0]

    def rms_norm(self, x: Tensor, scale: Any, epsilon: float) -> Tensor:
        """See `layers.fused.rms_norm`."""
        return self._mark(FusedCall("rms_norm", {"scale": scale}, {"epsilon": epsilon}), [x], [x.shape])[0]

    def logsumexp(self, x: Tensor, wanted: bool | Tensor = True) -> Tensor:
        """See `layers.fused.logsumexp`."""
        call = FusedCall("logsumexp", attributes={"shape": x.shape})
        return self._mark(call, [x, *([] if wanted is True else [wanted])], [x.shape[:-1]])[0]

    def top_k(self, x: Tensor, k: int | Tensor) -> list[Tensor]:
        """See `layers.fused.top_k`."""
        call = FusedCall("top_k", attributes={"vocabulary": x.shape[-1], "one": isinstance(k, int) and k == 1})
        size = k if isinstance(k, int) else None
        shapes = [(x.shape[0], size)] * 2
        return self._mark(call, [x, tf.convert_to_tensor(k, tf.int32)], shapes, [tf.float32, tf.int32])

    def select(self, x: Tensor, index: Tensor) -> Tensor:
        """See `layers.fused.select`."""
        shape = (*index.shape, *x.shape[2:])
        call = FusedCall("select", attributes={"axes": len(x.shape)})
        return self._mark(call, [x, index], [shape], [x.dtype])[0]

    def attention(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `layers.fused.attention`. A mask that differs by query becomes a part of the bias."""
        by_query = mask.shape[1] != 1
        attributes = {"heads": key.shape[1], "scale": key.shape[3] ** -0.5, "masked": not by_query}
        call = FusedCall("attention", attributes=attributes)
        inputs = [query, key, value]
        if by_query:
            allowed = tf.where(mask[:, None], 0.0, -1e9)  # (N, 1, T, S)
            inputs.append(allowed if bias is None else allowed + bias)
        else:
            inputs += [tf.cast(mask[:, 0], tf.int32), *([] if bias is None else [bias])]
        return self._mark(call, inputs, [query.shape])[0]

    def step_attention(
        self, query_key_value: Tensor, key: Tensor, value: Tensor, seen: Tensor, length: Tensor
    ) -> list[Tensor]:
        """See `layers.fused.step_attention`."""
        rows, heads, past, width = key.shape
        after = (rows, heads, None if past is None else past + 1, width)
        call = FusedCall("step_attention", attributes={"heads": heads, "width": width})
        inputs = [query_key_value, key, value, seen, length]
        return self._mark(call, inputs, [(rows, 1, heads * width), after, after])

    def lstm(self, layer: keras.layers.LSTM, x: Tensor, state: Any, mask: Tensor | None = None) -> Any:
        """See `layers.fused.lstm`."""
        return self._recurrent("lstm", layer, x, state, mask)

    def gru(self, layer: keras.layers.GRU, x: Tensor, state: Any, mask: Tensor | None = None) -> Any:
        """See `layers.fused.gru`."""
        return self._recurrent("gru", layer, x, state, mask)

    def _recurrent(self, operator: str, layer: Any, x: Tensor, state: Any, mask: Tensor | None) -> list[Tensor]:
        cell = layer.cell
        weights = {"kernel": cell.kernel, "recurrent_kernel": cell.recurrent_kernel, "bias": cell.bias}
        call = FusedCall(operator, weights, {"backwards": layer.go_backwards})
        lengths = [] if mask is None else [tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)]
        state_shape = (x.shape[0], layer.units)
        shapes = [(*x.shape[:-1], layer.units), *[state_shape] * len(state)]
        return self._mark(call, [x, *state, *lengths], shapes)


def _never_run(*inputs: np.ndarray) -> np.ndarray:
    raise RuntimeError("a marker of the export was run")


def _replace_marker(ctx: Any, node: Any, name: str, args: Any) -> None:
    """A handler of tf2onnx: puts the opaque node in the place of a marker."""
    source = ctx.get_node_by_output(node.input[-1])
    while source.type == "Identity":
        source = ctx.get_node_by_output(source.input[0])
    key = source.get_tensor_value(as_list=False).item()
    inputs, outputs = list(node.input[:-1]), list(node.output)
    shapes, dtypes = node.output_shapes, node.output_dtypes
    ctx.remove_node(node.name)
    attributes = {"key": key.decode() if isinstance(key, bytes) else key}
    ctx.make_node(
        OPAQUE,
        inputs,
        outputs=outputs,
        domain=DOMAIN,
        attr=attributes,
        shapes=shapes,
        dtypes=dtypes,
        skip_conversion=True,
    )


def _select(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Where, in place of the converter's sum of products, in which 0 · inf is not a number."""
    inputs, outputs = list(node.input), list(node.output)
    shapes, dtypes = node.output_shapes, node.output_dtypes
    ctx.remove_node(node.name)
    ctx.make_node("Where", inputs, outputs=outputs, shapes=shapes, dtypes=dtypes, skip_conversion=True)


def _all(ctx: Any, node: Any, name: str, args: Any) -> None:
    """The least of zeros and ones, in place of the converter's four nodes more."""
    source, axes = node.input
    outputs, shapes, keeps = list(node.output), node.output_shapes, int(node.get_attr_value("keep_dims") or 0)
    ctx.remove_node(node.name)
    numbers = ctx.make_node("Cast", [source], attr={"to": TensorProto.INT32}).output[0]
    vector = ctx.make_const(f"{node.name}/vector", np.array([-1], "int64")).name
    axes = ctx.make_node("Cast", [axes], attr={"to": TensorProto.INT64}).output[0]
    axes = ctx.make_node("Reshape", [axes, vector]).output[0]  # of one axis it is a scalar
    least = ctx.make_node("ReduceMin", [numbers, axes], attr={"keepdims": keeps}).output[0]
    to_bool = {"to": TensorProto.BOOL}
    ctx.make_node("Cast", [least], outputs=outputs, attr=to_bool, shapes=shapes, dtypes=[TensorProto.BOOL])


def _log(ctx: Any, node: Any, name: str, args: Any) -> None:
    """The logarithm of a sum of one: onnxruntime's Log rounds another way at a tensor's end, where no vector is full.

    So a number's logarithm would depend on where it stands, and a sentence's score on its batch.
    """
    (x,), outputs, shapes, dtypes = node.input, list(node.output), node.output_shapes, node.output_dtypes
    ctx.remove_node(node.name)
    last = ctx.make_const(f"{node.name}/last", np.array([-1], "int64")).name
    one = ctx.make_node("Unsqueeze", [x, last], skip_conversion=True).output[0]
    keeps = {"keepdims": 0}
    ctx.make_node(
        "ReduceLogSum", [one, last], outputs=outputs, attr=keeps, shapes=shapes, dtypes=dtypes, skip_conversion=True
    )


def _compared(operator: str) -> Any:
    """A handler that compares whole numbers as they are, where the converter makes floats of them."""

    def handle(ctx: Any, node: Any, name: str, args: Any) -> None:
        inputs, outputs, shapes = list(node.input), list(node.output), node.output_shapes
        if any(_may_count(ctx, each) for each in inputs):
            as_counter = {"to": TensorProto.INT64}
            inputs = [ctx.make_node("Cast", [each], attr=as_counter).output[0] for each in inputs]
        ctx.remove_node(node.name)
        types = [TensorProto.BOOL]
        ctx.make_node(operator, inputs, outputs=outputs, shapes=shapes, dtypes=types, skip_conversion=True)

    return handle


def _may_count(ctx: Any, name: str) -> bool:
    """Whether a value may be what counts a loop's rounds, of which the converter makes an int64."""
    node = ctx.get_node_by_output(name, search_in_parent_graphs=False)
    whole = ctx.get_dtype(name) in (TensorProto.INT32, TensorProto.INT64)
    return whole and ctx.get_shape(name) in ([], None) and (node is None or node.is_graph_input())


def _erfc(ctx: Any, node: Any, name: str, args: Any) -> None:
    """1 - erf(x), for the exact GELU of Keras, which the converter does not know."""
    (x,), outputs = list(node.input), list(node.output)
    shapes, dtypes = node.output_shapes, node.output_dtypes
    ctx.remove_node(node.name)
    one = ctx.make_const(f"{node.name}/one", np.array(1, "float32")).name
    error = ctx.make_node("Erf", [x], shapes=shapes, dtypes=dtypes, skip_conversion=True).output[0]
    ctx.make_node("Sub", [one, error], outputs=outputs, shapes=shapes, dtypes=dtypes, skip_conversion=True)


HANDLERS: dict[str, tuple[Any, list]] = {
    "PyFunc": (_replace_marker, []),
    "PyFuncStateless": (_replace_marker, []),
    "SelectV2": (_select, []),
    "All": (_all, []),
    "Less": (_compared("Less"), []),
    "Greater": (_compared("Greater"), []),
    "Log": (_log, []),
    "Erfc": (_erfc, []),
}
