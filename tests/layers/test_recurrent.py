"""Recurrent layers: known equations, and both directions. What holds of any cell is in tests/testing."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import GRU, LSTM, Bidirectional

RNG = np.random.default_rng(1)
X = RNG.normal(size=(2, 5, 4)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
LENGTHS = [5, 2]
cells = pytest.mark.parametrize("cell", [GRU, LSTM])
directions = pytest.mark.parametrize("backwards", [False, True])


def made(cell: type, **options: Any) -> Any:
    """A layer whose weights, biases too, are all different."""
    layer = cell(3, **options)
    layer(X)
    layer.set_weights([RNG.normal(size=w.shape).astype("float32") / 2 for w in layer.get_weights()])
    return layer


def a_state(layer: Any) -> tuple[np.ndarray, ...]:
    return tuple(RNG.normal(size=(2, 3)).astype("float32") for _ in layer.state_names)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), atol=2e-6)


def all_close(got: Any, expected: Any) -> None:
    for one, other in zip(got, expected, strict=True):
        close(one, other)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def numpy_gru(weights: list[np.ndarray], x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """One step of one row: x (I,), h (U,) -> h (U,). Keras's order of gates: update, reset, candidate."""
    w, u, (input_bias, recurrent_bias) = weights
    x_z, x_r, x_h = np.split(x @ w + input_bias, 3)
    h_z, h_r, h_h = np.split(h @ u + recurrent_bias, 3)
    update, reset = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    return update * h + (1 - update) * np.tanh(x_h + reset * h_h)


def numpy_lstm(weights: list[np.ndarray], x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple:
    """One step of one row: x (I,), h and c (U,) -> h and c. Keras's order of gates: input, forget, new, output."""
    w, u, b = weights
    i, f, g, o = np.split(x @ w + h @ u + b, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@directions
@pytest.mark.parametrize("mask", [None, MASK])
def test_gru_equals_numpy(mask: np.ndarray | None, backwards: bool) -> None:
    layer = made(GRU, backwards=backwards)
    (start,) = a_state(layer)
    y, (last,) = layer(X, (start,), mask)
    expected, h = np.zeros((2, 5, 3), "float32"), start.copy()
    for n, length in enumerate([5, 5] if mask is None else LENGTHS):
        for t in reversed(range(length)) if backwards else range(length):
            expected[n, t] = h[n] = numpy_gru(layer.get_weights(), X[n, t], h[n])
    close(y, expected)
    close(last, h)


@directions
@pytest.mark.parametrize("mask", [None, MASK])
def test_lstm_equals_numpy(mask: np.ndarray | None, backwards: bool) -> None:
    layer = made(LSTM, backwards=backwards)
    start = a_state(layer)
    y, last = layer(X, start, mask)
    expected, (h, c) = np.zeros((2, 5, 3), "float32"), (start[0].copy(), start[1].copy())
    for n, length in enumerate([5, 5] if mask is None else LENGTHS):
        for t in reversed(range(length)) if backwards else range(length):
            h[n], c[n] = numpy_lstm(layer.get_weights(), X[n, t], h[n], c[n])
            expected[n, t] = h[n]
    close(y, expected)
    all_close(last, (h, c))


@cells
def test_both_directions_stand_side_by_side(cell: type) -> None:
    layer = Bidirectional(cell, 6)
    y = np.asarray(layer(X, MASK))
    assert y.shape == (2, 5, 6)
    close(y[:, :, :3], layer.forwards(X, mask=MASK)[0])
    close(y[:, :, 3:], layer.backwards(X, mask=MASK)[0])
    assert {weight.path.split("/")[1] for weight in layer.weights} == {"forwards", "backwards"}


@cells
def test_a_padded_sentence_reads_in_both_directions_as_if_alone(cell: type) -> None:
    layer = Bidirectional(cell, 6)
    y = np.asarray(layer(X, MASK))
    close(y[1, :2], layer(X[1:, :2], MASK[1:, :2])[0])
    assert not y[1, 2:].any()
