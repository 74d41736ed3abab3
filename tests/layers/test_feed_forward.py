"""The position-wise part."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import FeedForward

X = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


INNER: dict[str, Callable] = {"relu": lambda x: np.maximum(x, 0), "gelu": gelu, "swiglu": silu}
kinds = pytest.mark.parametrize("kind", INNER)


def made(kind: Any) -> FeedForward:
    layer = FeedForward(4, 9, dropout=0.5, activation=kind)
    layer(X)
    rng = np.random.default_rng(2)
    layer.set_weights([rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()])
    return layer


@kinds
def test_equals_numpy(kind: str) -> None:
    layer = made(kind)
    w, b = layer.up.get_weights()
    inner = INNER[kind](X @ w + b)
    if kind == "swiglu":
        v, c = layer.gate.get_weights()  # type: ignore[union-attr]
        inner = inner * (X @ v + c)
    w, b = layer.down.get_weights()
    # The tanh form of GELU would be off by up to 5e-4.
    np.testing.assert_allclose(layer(X), inner @ w + b, atol=2e-5)


@kinds
def test_its_weights(kind: str) -> None:
    parts = ["up", "gate", "down"] if kind == "swiglu" else ["up", "down"]
    shapes = {"up": [(4, 9), (9,)], "gate": [(4, 9), (9,)], "down": [(9, 4), (4,)]}
    layer = made(kind)
    assert {part: [w.shape for w in getattr(layer, part).weights] for part in parts} == {p: shapes[p] for p in parts}
    assert len(layer.weights) == 2 * len(parts)


def test_relu_is_the_default() -> None:
    layer = FeedForward(4, 9, dropout=0.5)
    layer(X)
    layer.set_weights(made("relu").get_weights())
    assert np.array_equal(layer(X), made("relu")(X))


@kinds
def test_dropout_acts_in_training_alone(kind: str) -> None:
    layer = made(kind)
    assert np.array_equal(layer(X, training=False), layer(X))
    assert not np.array_equal(layer(X, training=True), layer(X))


@kinds
def test_in_onnx(kind: str, in_onnx: Any) -> None:
    layer = made(kind)
    (y,) = in_onnx(layer, [((None, None, 4), "float32")])(X)
    np.testing.assert_allclose(y, layer(X), atol=2e-5)
