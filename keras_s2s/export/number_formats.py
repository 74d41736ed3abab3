"""Number formats of weights: how a product, a look-up or an LSTM is written in each."""

from collections.abc import Mapping
from typing import ClassVar, TypeVar

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from keras_s2s.errors import UserError
from keras_s2s.export.calibrate import ActivationScale
from keras_s2s.export.nodes import MICROSOFT, Nodes
from keras_s2s.export.products import LookUp, Product
from keras_s2s.export.weights import values_of
from keras_s2s.registry import Registry

WEIGHT_LEVELS, ACTIVATION_LEVELS = 63, 127
_BLOCK = 32  # inputs that share a scale
# Shares of the scale that reaches the largest weight of a block, from which the one with the least error is taken.
_CLIPS = np.linspace(1.0, 0.7, 7)


class Format(Nodes):
    """A number format: a base class, of which `multiply` and `rows` are to be written.

    A format makes nodes in the place of those in float32; the last one gives the result, which keeps its name. Nodes
    are made by `node`, weights are read by `value` and written by `constant`. A table that is looked up in and is a
    product's matrix, too, should be stored once, by one name. `keras_s2s.testing.check_format` checks a registered one.

    Args:
        model: in float32, with its weights in it.
        scales: of activations, by the name of the product's matrix, for a format that needs calibration.

    Attributes:
        name: of the format; of a bundle's graphs in it, and of their folder.
        needs_calibration: whether it takes `scales`, which are found by running the graph in float32 on a user's text.
        depends_on_batch: whether a row's result depends on the others in its batch.
        quantizes_lstm: whether it has an `lstm`; without one LSTM layers stay in float32.
        is_for_cpus: whether a step's attention may be an operator that onnxruntime's CUDA provider lacks in float32.
        minimum_onnxruntime: the first release with an operator for it, None for any that runs the graph in float32.
        trained_as: the value of `training.quantization_aware` by which a model learns to live with it, or None.
    """

    name: ClassVar[str]
    needs_calibration: ClassVar[bool] = False
    depends_on_batch: ClassVar[bool] = False
    quantizes_lstm: ClassVar[bool] = False
    is_for_cpus: ClassVar[bool] = True
    minimum_onnxruntime: ClassVar[str | None] = None
    trained_as: ClassVar[str | None] = None

    def __init__(self, model: ModelProto, scales: Mapping[str, ActivationScale]) -> None:
        super().__init__(self.name)
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.scales = scales

    def multiply(self, product: Product, x: str) -> str:
        """Makes the nodes of x W + b.

        Args:
            product: W, the ids of the columns that are wanted, and b, by their names; "" where there is none.
            x: the name of x, (..., I) float32.

        Returns:
            The name of the last node's output, (..., O) float32.

        Raises:
            UserError: the format cannot write such a product.
        """
        raise NotImplementedError

    def rows(self, table: str, ids: str, turned: bool) -> str:
        """Makes the nodes that look up rows of a table.

        Args:
            table: its name, (V, D).
            ids: their name, (N, T).
            turned: what is stored is the table's transpose, (D, V).

        Returns:
            The name of the last node's output, (N, T, D) float32.
        """
        raise NotImplementedError

    def lstm(self, node: NodeProto) -> list[NodeProto]:
        """The nodes in the place of an LSTM; for a format that says `quantizes_lstm`."""
        raise NotImplementedError

    def value(self, name: str) -> np.ndarray:
        """A weight in float32."""
        return values_of(self._weights[name])

    def product(self, product: Product) -> list[NodeProto]:
        """The nodes in the place of a product."""
        y = self.multiply(product, product.node.input[0])
        return self._named(y, (product.add or product.node).output[0])

    def look_up(self, look_up: LookUp) -> list[NodeProto]:
        """The nodes in the place of a look-up."""
        y = self.rows(look_up.table, look_up.node.input[1], look_up.turned)
        return self._named(y, look_up.node.output[0])

    def _named(self, y: str, name: str) -> list[NodeProto]:
        """The nodes since the last time, the last of which now gives `name`."""
        nodes = self.take()
        assert nodes[-1].output[0] == y
        nodes[-1].output[0] = name
        return nodes


FormatType = TypeVar("FormatType", bound=type[Format])

FORMATS: Registry[type[Format]] = Registry("number format")
"""All number formats, by name."""


def register_format(form: FormatType) -> FormatType:
    """A decorator that adds a class to the number formats, by its `name`.

    Raises:
        UserError: there is a format of this name.
    """
    FORMATS.add(form.name, form)
    return form


@register_format
class Int8(Format):
    """7 bits a weight with a scale for each output, 8 bits an activation with a constant scale that fits a user's text.

    Weights go from -63 to 63. On an x86 without VNNI products of uint8 and int8 are added in pairs of 16 bits, where
    larger weights overflow; so these sums are exact on every processor. y = (x_q - z) W_q · scale_x · scale_W + b.
    """

    name = "int8"
    needs_calibration = True
    trained_as = "int8"

    def multiply(self, product: Product, x: str) -> str:
        values, scales = self._columns(product)
        found = self.scales[product.weight]
        scale = self.constant(f"{product.weight}/step", np.array(found.scale, "float32"))
        zero_point = self.constant(f"zero_{found.zero_point}", np.array(found.zero_point, "uint8"))
        quantized = self.node("QuantizeLinear", [x, scale, zero_point])
        inputs = [quantized, values, scale, scales, zero_point, "", product.bias]
        return self.node("MatMulIntegerToFloat", inputs, domain=MICROSOFT)

    def _columns(self, product: Product) -> tuple[str, str]:
        values, scales = self._quantized(product.weight, axis=0)
        if product.columns:
            values = self.node("Gather", [values, product.columns], axis=1)
            scales = self.node("Gather", [scales, product.columns], axis=0)
        return values, scales

    def rows(self, table: str, ids: str, turned: bool) -> str:
        """Each row times its own scale."""
        values, scales = self._quantized(table, axis=0 if turned else 1)
        if turned:
            values = self.node("Transpose", [values], perm=[1, 0])
        rows = self.node("Cast", [self.node("Gather", [values, ids], axis=0)], to=TensorProto.FLOAT)
        scale = self.node("Unsqueeze", [self.node("Gather", [scales, ids], axis=0), self.integers(-1)])
        return self.node("Mul", [rows, scale])

    def _quantized(self, name: str, axis: int) -> tuple[str, str]:
        """Names of int8 values and of their scales, one for each place of the axis that is not reduced."""
        if f"{name}/int8" not in self.initializers:
            value = self.value(name)
            scale = np.maximum(np.abs(value).max(axis=axis, keepdims=True) / WEIGHT_LEVELS, 1e-12)
            whole = value / scale  # Rounded and cut where it is: a table may be most of a model.
            np.clip(np.rint(whole, out=whole), -WEIGHT_LEVELS, WEIGHT_LEVELS, out=whole)
            self.constant(f"{name}/int8", whole.astype("int8"))
            self.constant(f"{name}/int8/scale", scale.astype("float32").ravel())
        return f"{name}/int8", f"{name}/int8/scale"


@register_format
class Int8OfRows(Int8):
    """Weights as `Int8` has them, and for each row of activations a scale of its own: x_q = round(x · 127 / max|x|)."""

    name = "int8-dynamic"
    needs_calibration = False

    def multiply(self, product: Product, x: str) -> str:
        values, scales = self._columns(product)
        middle, one = self.constant("zero_128", np.array(128, "uint8")), self.number(1.0)
        largest = self.node("ReduceMax", [self.node("Abs", [x]), self.integers(-1)], keepdims=1)
        scale = self.node("Max", [self.node("Mul", [largest, self.number(1 / ACTIVATION_LEVELS)]), self.number(1e-12)])
        quantized = self.node("QuantizeLinear", [self.node("Div", [x, scale]), one, middle])
        y = self.node("MatMulIntegerToFloat", [quantized, values, one, scales, middle], domain=MICROSOFT)
        y = self.node("Mul", [y, scale])
        return self.node("Add", [y, product.bias]) if product.bias else y


@register_format
class Weight8(Format):
    """8 bits a weight, with a scale for each block of 32 inputs of an output; the graph's activations stay float32.

    MatMulNBits of onnxruntime. Inside it each block of activations gets 8 bits and a scale of its own
    (`accuracy_level` 4); with blocks of 32 a row's result does not depend on how many there are, with others it does.
    """

    name = "weight8"
    minimum_onnxruntime: ClassVar[str | None] = "1.22"
    bits = 8

    def multiply(self, product: Product, x: str) -> str:
        if product.columns:
            raise UserError(
                f"{self.name}: graphs with a shortlist take columns of the output; choose int8 for that part"
            )
        inputs, outputs = self._weights[product.weight].dims
        values, scales = self._packed(product.weight, turned=True)
        return self.node(
            "MatMulNBits",
            [x, values, scales, "", "", product.bias],
            domain=MICROSOFT,
            K=inputs,
            N=outputs,
            bits=self.bits,
            block_size=_BLOCK,
            accuracy_level=4,
        )

    def rows(self, table: str, ids: str, turned: bool) -> str:
        width = self._weights[table].dims[0 if turned else 1]
        values, scales = self._packed(table, turned)
        rows = self._unpacked(self.node("Gather", [values, ids], axis=0))  # (..., blocks, block)
        rows = self.node("Sub", [self.node("Cast", [rows], to=TensorProto.FLOAT), self.number(1 << self.bits - 1)])
        scale = self.node("Unsqueeze", [self.node("Gather", [scales, ids], axis=0), self.integers(-1)])
        rows = self.node("Mul", [rows, scale])
        rows = self.node("Reshape", [rows, self.integers(0, 0, -1)])
        return self.node("Slice", [rows, self.integers(0), self.integers(width), self.integers(-1)])

    def _unpacked(self, values: str) -> str:
        return values

    def _packed(self, name: str, turned: bool) -> tuple[str, str]:
        """Names of unsigned values (O, blocks, bytes) and of scales (O, blocks)."""
        if f"{name}/values" not in self.initializers:
            value = self.value(name).T if turned else self.value(name)
            value = np.pad(value, [(0, 0), (0, -value.shape[1] % _BLOCK)])
            blocks = value.reshape(len(value), -1, _BLOCK)
            levels = 1 << self.bits - 1
            scale = _scales(blocks, levels)
            whole = np.clip(np.round(blocks / scale), -levels, levels - 1) + levels
            self.constant(f"{name}/values", self._bytes(whole.astype("uint8")))
            self.constant(f"{name}/scales", scale[..., 0].astype("float32"))
        return f"{name}/values", f"{name}/scales"

    def _bytes(self, values: np.ndarray) -> np.ndarray:
        return values


@register_format
class Weight4(Weight8):
    """4 bits a weight, two in a byte; else as `Weight8`."""

    name = "weight4"
    minimum_onnxruntime = None
    trained_as = "weight4"
    bits = 4

    def _bytes(self, values: np.ndarray) -> np.ndarray:
        return values[..., 0::2] | values[..., 1::2] << 4

    def _unpacked(self, values: str) -> str:
        four, last = np.array(4, "uint8"), self.integers(-1)
        low = self.node("BitwiseAnd", [values, self.constant("low_bits", np.array(15, "uint8"))])
        high = self.node("BitShift", [values, self.constant("four", four)], direction="RIGHT")
        pairs = self.node("Concat", [self.node("Unsqueeze", [part, last]) for part in (low, high)], axis=-1)
        return self.node("Reshape", [pairs, self.integers(0, 0, 0, -1)])


@register_format
class Half(Format):
    """Products in float16, for processors that are quicker in it; what stands between them stays in float32."""

    name = "fp16"
    is_for_cpus = False

    def multiply(self, product: Product, x: str) -> str:
        weight = self._halved(product.weight)
        if product.columns:
            weight = self.node("Gather", [weight, product.columns], axis=1)
        y = self.node("MatMul", [self.node("Cast", [x], to=TensorProto.FLOAT16), weight])
        y = self.node("Cast", [y], to=TensorProto.FLOAT)
        return self.node("Add", [y, product.bias]) if product.bias else y

    def rows(self, table: str, ids: str, turned: bool) -> str:
        values = self._halved(table)
        if turned:
            values = self.node("Transpose", [values], perm=[1, 0])
        return self.node("Cast", [self.node("Gather", [values, ids], axis=0)], to=TensorProto.FLOAT)

    def _halved(self, name: str) -> str:
        return self.constant(f"{name}/fp16", self.value(name).astype("float16"))


@register_format
class DynamicLSTM(Int8):
    """`Int8`, and LSTM layers with 7 bits a weight: DynamicQuantizeLSTM of onnxruntime, with one scale for a batch."""

    name = "int8-lstm"
    depends_on_batch = True
    quantizes_lstm = True

    def lstm(self, node: NodeProto) -> list[NodeProto]:
        """The node in the place of an LSTM."""
        x, kernel, recurrent, *others = node.input
        weights = {name: self._gates(name) for name in (kernel, recurrent)}
        others += [""] * (5 - len(others))  # bias, lengths, first h, first c, peepholes
        quantized = [x, *(weights[name][0] for name in (kernel, recurrent)), *others]
        quantized += [part for name in (kernel, recurrent) for part in weights[name][1:]]
        replaced = helper.make_node("DynamicQuantizeLSTM", quantized, node.output, node.name, domain=MICROSOFT)
        replaced.attribute.extend(node.attribute)
        return [replaced]

    def _gates(self, name: str) -> tuple[str, str, str]:
        """Names of values (directions, I, gates · H), of scales and of zero points (directions, gates · H)."""
        value = np.swapaxes(self.value(name), 1, 2)
        scale = np.maximum(np.abs(value).max(axis=1, keepdims=True) / WEIGHT_LEVELS, 1e-12)
        whole = np.clip(np.round(value / scale), -WEIGHT_LEVELS, WEIGHT_LEVELS).astype("int8")
        return (
            self.constant(f"{name}/int8", whole),
            self.constant(f"{name}/int8/scale", scale[:, 0].astype("float32")),
            self.constant(f"{name}/int8/zero", np.zeros(scale[:, 0].shape, "int8")),
        )


def _scales(blocks: np.ndarray, levels: int) -> np.ndarray:
    """A scale for each block (..., 1), by which its weights have the least square error.

    There is a level more below zero than above, and the largest weight of a block takes the side of that.
    """
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1, keepdims=True), axis=-1)
    largest = np.where(largest == 0, 1e-12, largest)
    best, least = largest / -levels, np.full(largest.shape, np.inf)
    for clip in _CLIPS:
        scale = largest * clip / -levels
        whole = np.clip(np.round(blocks / scale), -levels, levels - 1)
        error = np.square(whole * scale - blocks).sum(axis=-1, keepdims=True)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best
