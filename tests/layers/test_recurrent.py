"""Recurrent layers: known equations, state in and out, both directions, padding."""

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
def test_a_state_has_a_name_for_each_part(cell: type) -> None:
    _, state = cell(3)(X)
    assert len(state) == len(cell.state_names)  # type: ignore[attr-defined]


@cells
def test_without_a_state_it_starts_from_zeros(cell: type) -> None:
    layer = made(cell)
    zeros = tuple(np.zeros((2, 3), "float32") for _ in layer.state_names)
    y, state = layer(X)
    again, again_state = layer(X, zeros)
    assert y.shape == (2, 5, 3)
    close(y, again)
    all_close(state, again_state)
    close(state[0], y[:, -1])


@cells
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_a_sequence_in_two_parts_with_the_state_between(cell: type, cut: int) -> None:
    layer = made(cell)
    whole, last = layer(X)
    first, state = layer(X[:, :cut])
    second, last_of_parts = layer(X[:, cut:], state)
    close(np.concatenate([first, second], axis=1), whole)
    all_close(last_of_parts, last)


@cells
def test_a_sequence_step_by_step(cell: type) -> None:
    layer = made(cell)
    start = a_state(layer)
    whole, last = layer(X, start)
    steps, state = [], start
    for t in range(5):
        y, state = layer(X[:, t : t + 1], state)
        steps.append(y)
    close(np.concatenate(steps, axis=1), whole)
    all_close(state, last)


@cells
def test_backwards_equals_forwards_on_the_reversed_sequence(cell: type) -> None:
    forwards, backwards = made(cell), made(cell, backwards=True)
    backwards.set_weights(forwards.get_weights())
    y, state = backwards(X)
    expected, expected_state = forwards(X[:, ::-1])
    close(y, np.asarray(expected)[:, ::-1])
    all_close(state, expected_state)


@cells
def test_backwards_reads_from_the_last_real_token(cell: type) -> None:
    layer = made(cell, backwards=True)
    start = a_state(layer)
    y, state = layer(X, start, MASK)
    alone, alone_state = layer(X[1:, :2], tuple(part[1:] for part in start))
    close(y[1:, :2], alone)
    all_close([part[1:] for part in state], alone_state)


@cells
@directions
def test_padded_places_do_not_matter_and_come_out_as_zero(cell: type, backwards: bool) -> None:
    layer = made(cell, backwards=backwards)
    start = a_state(layer)
    y, state = layer(X, start, MASK)
    other, other_state = layer(np.where(MASK[:, :, None], X, 1e3).astype("float32"), start, MASK)
    assert not np.asarray(y)[1, 2:].any()
    assert np.asarray(y)[1, :2].all()
    assert np.array_equal(y, other)
    all_close(state, other_state)


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
