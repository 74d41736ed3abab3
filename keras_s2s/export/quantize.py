"""Int8: the products and tables of a graph, with 7 bits a weight and 8 bits an activation.

Weights go from -63 to 63, with a scale for each output. On an x86 without VNNI products of uint8 and int8 are added in
pairs of 16 bits, where larger weights overflow; so the results are the same on every processor.

Steps of activations are constants that `calibrate` chose, or each row has its own. Either way a sentence's result
depends on nothing else in its batch (onnxruntime's DynamicQuantizeMatMul has one scale for a whole batch). LSTM and GRU
layers stay in float32: no quantized LSTM of onnxruntime keeps that promise, and there is no quantized GRU.
"""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from keras_s2s.export.calibrate import Steps
from keras_s2s.export.nodes import MICROSOFT, Nodes
from keras_s2s.export.passes import all_graphs, replace_nodes, tidy
from keras_s2s.export.products import LookUp, Product, look_ups, matrices, products

WEIGHT_LEVELS, ACTIVATION_LEVELS = 63, 127


def quantize(model: ModelProto, steps: Mapping[str, Steps] | None) -> ModelProto:
    """Makes an int8 graph of one in float32.

    Args:
        model: with its weights in it.
        steps: of activations, by the name of the product's matrix; None gives each row of activations its own.
    """
    result = ModelProto()
    result.CopyFrom(model)
    int8 = _Int8(result, steps)
    of_products, of_look_ups = list(products(result)), list(look_ups(result))
    # In the place of a sum stands what needs no sum, as by then both of its parts are there.
    instead: dict[str, list[NodeProto]] = {p.node.output[0]: [] for p in of_products if p.add is not None}
    instead |= {(p.add or p.node).output[0]: int8.product(p) for p in of_products}
    instead |= {look_up.node.output[0]: int8.look_up(look_up) for look_up in of_look_ups}
    for graph in all_graphs(result.graph):
        replace_nodes(graph, [new for node in graph.node for new in instead.get(node.output[0], [node])])
    there = {tensor.name for tensor in result.graph.initializer}  # small ones have the same names in every graph
    result.graph.initializer.extend(tensor for name, tensor in int8.initializers.items() if name not in there)
    tidy(result.graph)
    return result


class _Int8(Nodes):
    """Makes nodes in the place of products and look-ups.

    A table that is looked up in and is a product's matrix, too, is stored once.
    """

    def __init__(self, model: ModelProto, steps: Mapping[str, Steps] | None) -> None:
        super().__init__("int8")
        self._weights, self._steps = matrices(model), steps

    def product(self, product: Product) -> list[NodeProto]:
        """y = (x_q - z) W_q · step · scale + b."""
        values, scales = self._quantized(product.weight, axis=0)
        if product.columns:
            values = self.node("Gather", [values, product.columns], axis=1)
            scales = self.node("Gather", [scales, product.columns], axis=0)
        x, result = product.node.input[0], (product.add or product.node).output[0]
        if self._steps is None:
            y = self._with_steps_of_rows(x, values, scales, product.bias)
        else:
            y = self._with_constant_steps(x, values, scales, product.bias, product.weight, self._steps[product.weight])
        return self._named(y, result)

    def _with_constant_steps(self, x: str, values: str, scales: str, bias: str, weight: str, steps: Steps) -> str:
        step = self.constant(f"{weight}/step", np.array(steps.step, "float32"))
        zero = self.constant(f"zero_{steps.zero}", np.array(steps.zero, "uint8"))
        quantized = self.node("QuantizeLinear", [x, step, zero])
        return self.node("MatMulIntegerToFloat", [quantized, values, step, scales, zero, "", bias], domain=MICROSOFT)

    def _with_steps_of_rows(self, x: str, values: str, scales: str, bias: str) -> str:
        """x_q = round(x / s) with s = max|row| / 127."""
        middle, one = self.constant("zero_128", np.array(128, "uint8")), self.number(1.0)
        largest = self.node("ReduceMax", [self.node("Abs", [x]), self.integers(-1)], keepdims=1)
        step = self.node("Max", [self.node("Mul", [largest, self.number(1 / ACTIVATION_LEVELS)]), self.number(1e-12)])
        quantized = self.node("QuantizeLinear", [self.node("Div", [x, step]), one, middle])
        y = self.node("MatMulIntegerToFloat", [quantized, values, one, scales, middle], domain=MICROSOFT)
        y = self.node("Mul", [y, step])
        return self.node("Add", [y, bias]) if bias else y

    def look_up(self, look_up: LookUp) -> list[NodeProto]:
        """Rows of an int8 table, each times its own scale."""
        table, ids = look_up.table, look_up.node.input[1]
        values, scales = self._quantized(table, axis=0 if look_up.turned else 1)
        if look_up.turned:
            values = self.node("Transpose", [values], perm=[1, 0])
        rows = self.node("Cast", [self.node("Gather", [values, ids], axis=0)], to=TensorProto.FLOAT)
        scale = self.node("Unsqueeze", [self.node("Gather", [scales, ids], axis=0), self.integers(-1)])
        return self._named(self.node("Mul", [rows, scale]), look_up.node.output[0])

    def _quantized(self, name: str, axis: int) -> tuple[str, str]:
        """Names of int8 values and of their scales, one for each place of the axis that is not reduced."""
        if f"{name}/int8" not in self.initializers:
            value = numpy_helper.to_array(self._weights[name])
            scale = np.maximum(np.abs(value).max(axis=axis, keepdims=True) / WEIGHT_LEVELS, 1e-12)
            steps = np.clip(np.round(value / scale), -WEIGHT_LEVELS, WEIGHT_LEVELS).astype("int8")
            self.constant(f"{name}/int8", steps)
            self.constant(f"{name}/int8/scale", scale.astype("float32").ravel())
        return f"{name}/int8", f"{name}/int8/scale"

    def _named(self, y: str, name: str) -> list[NodeProto]:
        """The nodes since the last time, the last of which now gives `name`."""
        nodes = self.take()
        nodes[-1].output[0] = name
        return nodes
