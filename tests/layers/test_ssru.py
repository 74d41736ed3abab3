"""The SSRU: its equations, its state, and its form in ONNX."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.trainers.trainer import model_supports_jit

from keras_s2s.layers import SSRU

RNG = np.random.default_rng(1)
lengths = pytest.mark.parametrize("length", [1, 2, 5, 8])


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


@pytest.fixture(scope="module")
def layer() -> SSRU:
    layer = SSRU(4)
    layer(normal(2, 1, 4), normal(2, 4))
    layer.set_weights([normal(*w.shape) for w in layer.get_weights()])
    return layer


def in_numpy(layer: SSRU, x: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Step by step, in float64."""
    forget_kernel, forget_bias = layer.forget.get_weights()
    (input_kernel,) = layer.input_projection.get_weights()
    x, c, y = x.astype("float64"), cell.astype("float64"), []
    for t in range(x.shape[1]):
        f = 1 / (1 + np.exp(-(x[:, t] @ forget_kernel + forget_bias)))
        c = f * c + (1 - f) * (x[:, t] @ input_kernel)
        y.append(np.maximum(c, 0))
    return np.stack(y, axis=1), c


@lengths
def test_equals_numpy(layer: SSRU, length: int) -> None:
    x, cell = normal(3, length, 4), normal(3, 4)
    for got, expected in zip(layer(x, cell), in_numpy(layer, x, cell), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_has_a_bias_in_the_gate_alone(layer: SSRU) -> None:
    names = {weight.path.split("/", 1)[1]: weight.shape for weight in layer.weights}
    assert names == {"forget/kernel": (4, 4), "forget/bias": (4,), "input/kernel": (4, 4)}


def test_its_state_may_be_negative_but_not_its_output(layer: SSRU) -> None:
    y, cell = layer(normal(20, 5, 4), normal(20, 4))
    assert np.asarray(y).min() == 0
    assert np.asarray(cell).min() < 0


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_parts_equal_the_whole(layer: SSRU, cut: int) -> None:
    x, cell = normal(3, 7, 4), normal(3, 4)
    whole, last = layer(x, cell)
    head, between = layer(x[:, :cut], cell)
    tail, end = layer(x[:, cut:], between)
    np.testing.assert_allclose(np.concatenate([head, tail], axis=1), whole, atol=1e-5)
    np.testing.assert_allclose(end, last, atol=1e-5)


def test_step_by_step_equals_the_whole(layer: SSRU) -> None:
    x, cell = normal(3, 6, 4), normal(3, 4)
    whole, last = layer(x, cell)
    for t in range(6):
        y, cell = layer(x[:, t : t + 1], cell)
        np.testing.assert_allclose(y[:, 0], whole[:, t], atol=1e-5)
    np.testing.assert_allclose(cell, last, atol=1e-5)


def test_all_weights_learn_when_traced_for_any_length(layer: SSRU) -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, 4))], autograph=False)
    def gradients(x: Any, cell: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, cell)[0])
        return tape.gradient(loss, [weight.value for weight in layer.weights])

    for gradient in gradients(normal(2, 5, 4), normal(2, 4)):
        assert np.abs(gradient).max() > 0


def test_in_onnx_for_any_length(layer: SSRU, in_onnx: Any) -> None:
    graph = in_onnx(layer, [((None, None, 4), "float32"), ((None, 4), "float32")])
    for rows, length in ((1, 1), (3, 2), (2, 7), (5, 16)):
        x, cell = normal(rows, length, 4), normal(rows, 4)
        for got, expected in zip(graph(x, cell), layer(x, cell), strict=True):
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=f"{rows} rows of {length}")


def test_a_step_in_onnx_has_no_loop(layer: SSRU, in_onnx: Any) -> None:
    graph = in_onnx(layer, [((None, 1, 4), "float32"), ((None, 4), "float32")])
    assert not {node.op_type for node in graph.model.graph.node} & {"Loop", "If", "Scan"}
    x, cell = normal(3, 1, 4), normal(3, 4)
    for got, expected in zip(graph(x, cell), layer(x, cell), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_keras_does_not_compile_models_with_it_by_xla(layer: SSRU) -> None:
    """By itself Keras does so on a GPU."""
    cell = keras.Input((4,))
    x = keras.Input((None, 4))
    model = keras.Model([x, cell], layer(x, cell))
    assert not model_supports_jit(model)
