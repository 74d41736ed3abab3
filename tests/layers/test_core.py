"""The layers over the fused operators make and use their weights."""

import numpy as np
import pytest

from keras_s2s.layers import Embedding, LayerNorm, Linear, RMSNorm


def test_linear_makes_its_weights() -> None:
    layer = Linear(3, "relu")
    x = np.random.default_rng(1).normal(size=(2, 5, 4)).astype("float32")
    layer(x)
    assert [(w.name, w.shape) for w in layer.weights] == [("kernel", (4, 3)), ("bias", (3,))]
    kernel = np.asarray(layer.kernel)
    layer.set_weights([kernel, np.array([1, 2, 3])])
    np.testing.assert_allclose(layer(x), np.maximum(x @ kernel + [1, 2, 3], 0), atol=1e-6)


def test_linear_without_bias() -> None:
    layer = Linear(3, use_bias=False)
    assert layer(np.ones((2, 4), "float32")).shape == (2, 3)
    assert [w.name for w in layer.weights] == ["kernel"]


def test_an_embedding_is_drawn_with_the_variance_of_one_over_its_width() -> None:
    layer = Embedding(2000, 16)
    assert layer(np.array([[1, 2, 3]])).shape == (1, 3, 16)
    table = np.asarray(layer.table)
    assert table.shape == (2000, 16)
    assert abs(table.mean()) < 0.01
    assert table.std() == pytest.approx(0.25, rel=0.05)


def test_layer_norm_normalises_the_last_axis() -> None:
    layer = LayerNorm()
    x = np.random.default_rng(1).normal(loc=3, scale=2, size=(2, 3, 64)).astype("float32")
    y = np.asarray(layer(x))
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=-1), 1, atol=1e-4)
    assert [(w.name, w.shape) for w in layer.weights] == [("scale", (64,)), ("offset", (64,))]


def test_rms_norm_equals_numpy() -> None:
    layer = RMSNorm()
    x = np.random.default_rng(1).normal(loc=3, scale=2, size=(2, 3, 8)).astype("float32")
    layer(x)
    assert [(w.name, w.shape) for w in layer.weights] == [("scale", (8,))]
    scale = np.arange(1, 9, dtype="float32")
    layer.set_weights([scale])
    expected = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5) * scale
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)


def test_rms_norm_starts_with_a_mean_square_of_one_and_gives_zero_of_zero() -> None:
    x = np.random.default_rng(1).normal(loc=3, size=(2, 3, 64)).astype("float32")
    x[0, 0] = 0
    squares = (np.asarray(RMSNorm()(x)) ** 2).mean(axis=-1)
    assert squares[0, 0] == 0
    np.testing.assert_allclose(squares.ravel()[1:], 1, atol=1e-4)
