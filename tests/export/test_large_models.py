"""Weights of more than 2 GiB, which no message of protobuf holds: they go around all messages."""

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

from keras_s2s.export import onnx_graph
from keras_s2s.export.calibrate import ActivationScale
from keras_s2s.export.products import products
from keras_s2s.export.quantize import int8
from keras_s2s.layers import fused
from keras_s2s.runtime.graph import Graph

WIDTH, LAYERS = 1 << 13, 9
LIMIT = 1 << 31


def kernel(layer: int) -> keras.Variable:
    """A matrix that moves the first numbers of a row one place on; one of its own for each layer."""
    value = np.zeros((WIDTH, WIDTH), "float32")
    value[layer, layer + 1] = 1.0
    return keras.Variable(value, name=f"kernel_{layer}")


@pytest.mark.slow
def test_weights_beyond_the_limit_of_protobuf(tmp_path: Path) -> None:
    kernels = [kernel(layer) for layer in range(LAYERS)]
    assert sum(4 * WIDTH**2 for _ in kernels) > LIMIT

    def program(x: tf.Tensor) -> dict[str, tf.Tensor]:
        for matrix in kernels:
            x = fused.linear(x, matrix)
        return {"y": x}

    signature = [tf.TensorSpec((None, WIDTH), tf.float32, name="x")]
    graph = onnx_graph.expand(*onnx_graph.convert(tf.function(program, input_signature=signature, autograph=False)))
    del kernels[:]
    scales = {product.weight: ActivationScale(1.0, 128) for product in products(graph)}
    onnx_graph.write({"moves": graph}, tmp_path / "fp32")
    onnx_graph.write({"moves": int8(graph, scales)}, tmp_path / "int8")
    del graph
    x = np.zeros((2, WIDTH), "float32")
    x[:, 0] = 3.0, 5.0
    for precision in ("fp32", "int8"):
        folder = tmp_path / precision
        assert (folder / "moves.onnx").stat().st_size < 1 << 16
        assert precision == "int8" or (folder / "weights.bin").stat().st_size > LIMIT
        onnx.checker.check_model(folder / "moves.onnx")
        y = Graph(folder / "moves.onnx")({"x": x})["y"]
        np.testing.assert_allclose(y[:, LAYERS], x[:, 0], rtol=1e-6)
        assert np.count_nonzero(y) == 2
