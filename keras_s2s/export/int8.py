"""Fused operators in int8: weights per output channel, activations per row.

Every row of activations has a scale of its own, so that a sentence's result depends on nothing else in the batch
(onnxruntime's DynamicQuantizeMatMul has one scale for all of them). LSTM and GRU layers stay in fp32: no quantized LSTM
keeps that promise, and there is no quantized GRU.
"""

import keras
import numpy as np
from onnx import TensorProto

from keras_s2s.export.lowering import FusedCall
from keras_s2s.export.operators import MICROSOFT, Float32Operators

_LEVELS = 127


class Int8Operators(Float32Operators):
    """`Float32Operators` with products and tables in int8."""

    def _product(self, call: FusedCall, x: str, columns: str) -> str:
        """x_q = round(x / s) with s = max|row| / 127; y = (x_q W_q) · scale of column · s.

        Columns chosen at run time are unsigned: sums of signed ones overflow on an x86 without VNNI, which
        `session_options` can mend for constant weights alone.
        """
        kernel, transposed = call.weights["kernel"], call.attributes["transposed"]
        values, scales = self._quantized(kernel, transposed)
        middle = self._middle()
        zero_points = [middle]
        if columns:
            values = self._unsigned(self._node("Gather", [values, columns], axis=1))
            scales = self._node("Gather", [scales, columns], axis=0)
            zero_points.append(middle)
        largest = self._node("ReduceMax", [self._node("Abs", [x]), self._integers(-1)], keepdims=1)
        scale = self._node("Mul", [largest, self._number("step", 1 / _LEVELS)])
        scale = self._node("Max", [scale, self._number("least_scale", 1e-12)])
        steps = self._node("Div", [x, scale])
        one = self._number("one", 1.0)
        quantized = self._node("QuantizeLinear", [steps, one, middle])
        product = self._node("MatMulIntegerToFloat", [quantized, values, one, scales, *zero_points], domain=MICROSOFT)
        return self._node("Mul", [product, scale])

    def _unsigned(self, values: str) -> str:
        """int8 as uint8 with 128 in the middle."""
        bits = self._node("Cast", [values], to=TensorProto.UINT8)
        return self._node("BitwiseXor", [bits, self._middle()])

    def embedding(self, call: FusedCall, ids: str) -> list[str]:
        """Rows of an int8 table, each times its own scale."""
        table = call.weights["table"]
        in_product = self._name(table) in self._products
        values, scales = self._quantized(table, transposed=in_product, channel_axis=0)
        rows = self._node("Gather", [values, ids], axis=1 if in_product else 0)
        if in_product:
            rows = self._node("Transpose", [rows], perm=[1, 2, 0])
        scale = self._node("Unsqueeze", [self._node("Gather", [scales, ids], axis=0), self._integers(-1)])
        return [self._node("Mul", [self._node("Cast", [rows], to=TensorProto.FLOAT), scale])]

    def _quantized(
        self, variable: keras.Variable, transposed: bool, channel_axis: int | None = None
    ) -> tuple[str, str]:
        """Names of int8 values and of their scales, one a channel: the product's output, or the table's row."""
        name = f"{self._name(variable)}/int8" + ("/transposed" if transposed else "")
        if name not in self.initializers:
            value = variable.numpy()
            if channel_axis is None:
                channel_axis = 0 if transposed else 1
            scale = np.maximum(np.abs(value).max(axis=1 - channel_axis, keepdims=True) / _LEVELS, 1e-12)
            steps = np.clip(np.round(value / scale), -_LEVELS, _LEVELS).astype("int8")
            self._constant(name, steps.T if transposed else steps)
            self._constant(f"{name}/scale", scale.astype("float32").ravel())
        return name, f"{name}/scale"

    def _middle(self) -> str:
        return self._constant("middle", np.array(128, "uint8"))

    def _number(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, "float32"))
