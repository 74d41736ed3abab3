"""Strided convolutions: known answers, lengths, padding, and their form in ONNX."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from onnx import TensorProto

from keras_s2s.layers import Convolution

RNG = np.random.default_rng(1)
# Layers, kernel, stride.
SHAPES = [(1, 3, 1), (1, 3, 2), (2, 3, 2), (1, 5, 3), (2, 4, 2), (1, 1, 2), (1, 2, 3), (3, 3, 1)]
shapes = pytest.mark.parametrize(("layers", "kernel", "stride"), SHAPES)


@pytest.fixture(autouse=True)
def the_same_numbers() -> None:
    """Every test draws the same, whichever ran before."""
    RNG.bit_generator.state = np.random.default_rng(1).bit_generator.state


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def made(layers: int, kernel: int, stride: int) -> Convolution:
    """A layer with biases above zero, so that padded places are not zero by themselves."""
    layer = Convolution(5, layers, kernel, stride)
    layer(normal(1, 4, 3), np.array([4]))
    layer.set_weights([normal(*w.shape) + 2 * (w.ndim == 1) for w in layer.get_weights()])
    return layer


def in_numpy(layer: Convolution, x: np.ndarray) -> np.ndarray:
    """One whole sequence (S, F), output by output; frames outside are zero."""
    weights = layer.get_weights()
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        width, y = len(kernel), []
        for centre in range(0, len(x), layer.stride):
            total = bias.astype("float64")
            for k in range(width):
                frame = centre + k - (width - 1) // 2
                if 0 <= frame < len(x):
                    total = total + x[frame] @ kernel[k]
            y.append(np.maximum(total, 0))
        x = np.stack(y)
    return x


def shortened(length: int, layers: int, stride: int) -> int:
    for _ in range(layers):
        length = -(-length // stride)
    return length


@shapes
@pytest.mark.parametrize("length", [1, 2, 3, 6, 7, 8])
def test_equals_numpy(layers: int, kernel: int, stride: int, length: int) -> None:
    layer = made(layers, kernel, stride)
    x = normal(length, 3)
    y, mask = layer(x[None], np.array([length]))
    expected = in_numpy(layer, x)
    assert expected.any()
    assert np.asarray(mask).tolist() == [[True] * shortened(length, layers, stride)]
    np.testing.assert_allclose(y[0], expected, atol=1e-5)


def test_a_known_answer() -> None:
    layer = Convolution(1, 1, 3, 2)
    x = np.array([[[1], [2], [3], [4], [9]]], "float32")
    layer(x, np.array([4]))
    layer.set_weights([np.array([[[1]], [[10]], [[100]]], "float32"), np.array([-200], "float32")])
    y, mask = layer(x, np.array([4]))
    # 0 + 10 + 200 - 200, 2 + 30 + 400 - 200, and a padded place.
    assert np.asarray(y).tolist() == [[[10], [232], [0]]]
    assert np.asarray(mask).tolist() == [[True, True, False]]


@shapes
def test_neither_padding_nor_mates_matter(layers: int, kernel: int, stride: int) -> None:
    layer = made(layers, kernel, stride)
    lengths = np.array([1, 4, 7, 10])
    for longest in (10, 11, 12, 15):
        x = normal(4, longest, 3) * 100
        y, mask = np.asarray(layer(x, lengths)[0]), np.asarray(layer(x, lengths)[1])
        assert y.shape == (4, shortened(longest, layers, stride), 5)
        for n, length in enumerate(lengths):
            end = shortened(length, layers, stride)
            assert mask[n].tolist() == [True] * end + [False] * (len(mask[n]) - end)
            np.testing.assert_allclose(y[n, :end], in_numpy(layer, x[n, :length]), rtol=1e-4, atol=1e-3)
            assert not y[n, end:].any()


def test_padding_may_be_anything() -> None:
    layer = made(2, 3, 2)
    x, lengths = normal(2, 9, 3), np.array([9, 5])
    filled = x.copy()
    filled[1, 5:] = np.inf
    for one, other in zip(layer(x, lengths), layer(filled, lengths), strict=True):
        assert np.array_equal(one, other)


def test_no_gradient_reaches_padding() -> None:
    layer = made(2, 3, 2)
    x = tf.Variable(normal(2, 9, 3))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(x, np.array([9, 5]))[0])
    gradient = tape.gradient(total, x).numpy()
    assert gradient[1, :5].any()
    assert not gradient[1, 5:].any()


@pytest.mark.parametrize(("layers", "kernel", "stride"), [(1, 3, 1), (2, 3, 2), (1, 4, 3)])
def test_in_onnx_for_any_batch_and_length(layers: int, kernel: int, stride: int, in_onnx: Any) -> None:
    layer = made(layers, kernel, stride)
    graph = in_onnx(layer, [((None, None, 3), "float32"), ((None,), "int32")])
    for lengths in ([1], [6, 2], [7, 5, 1], [8, 8]):
        for longest in (max(lengths), max(lengths) + 3):
            inputs = normal(len(lengths), longest, 3), np.array(lengths, "int32")
            for got, expected in zip(graph(*inputs), layer(*inputs), strict=True):
                assert got.shape == expected.shape
                np.testing.assert_allclose(got, expected, atol=1e-5)


def test_its_weights_are_in_the_graph_once(in_onnx: Any) -> None:
    layer = made(2, 3, 2)
    graph = in_onnx(layer, [((None, None, 3), "float32"), ((None,), "int32")]).model.graph
    floats = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT]
    # Bounds of slices are smaller than any weight.
    sizes = sorted(size for tensor in floats if (size := int(np.prod(tensor.dims))) >= 5)
    assert sizes == sorted(int(np.prod(w.shape)) for w in layer.weights)
