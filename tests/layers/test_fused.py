"""Each fused operator against plain numpy, and the hook that replaces it."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s.layers import fused

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

RNG = np.random.default_rng(1)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def close(got: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, atol=2e-6)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("shape", [(4,), (3, 1, 4), (3, 0, 4), (2, 5, 4)])
def test_linear(shape: tuple[int, ...], activation: Any, transposed: bool) -> None:
    x, w, b = normal(*shape), normal(4, 7), normal(7)
    if len(shape) == 1:
        x = x[None]
    expected = x @ w + b
    if activation is not None:
        expected = np.tanh(expected) if activation == "tanh" else np.maximum(expected, 0)
    kernel = keras.Variable(w.T if transposed else w)
    close(fused.linear(x, kernel, keras.Variable(b), activation, transposed), expected)


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_smooth_activations(activation: Any) -> None:
    x, w, b = normal(20, 4), normal(4, 7), normal(7)
    y = x @ w + b
    expected = y * sigmoid(y) if activation == "silu" else y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
    close(fused.linear(x, keras.Variable(w), keras.Variable(b), activation), expected)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_some_columns_of_a_product(bias: bool, transposed: bool) -> None:
    x, w, b, columns = normal(2, 3, 4), normal(4, 7), normal(7), np.array([0, 5, 2], "int32")
    kernel = keras.Variable(w.T if transposed else w)
    got = fused.linear(x, kernel, keras.Variable(b) if bias else None, "tanh", transposed, columns)
    close(got, np.tanh(x @ w + b * bias)[..., columns])


def test_linear_without_bias() -> None:
    x, w = normal(2, 3, 4), normal(4, 7)
    close(fused.linear(x, keras.Variable(w)), x @ w)


@pytest.mark.parametrize("shape", [(3, 0), (3, 1), (2, 4)])
def test_embedding(shape: tuple[int, ...]) -> None:
    table, ids = normal(6, 5), RNG.integers(0, 6, size=shape)
    close(fused.embedding(ids, keras.Variable(table)), table[ids])


@pytest.mark.parametrize("length", [0, 1, 4])
def test_layer_norm(length: int) -> None:
    x, scale, offset = 3 * normal(2, length, 6) + 1, normal(6), normal(6)
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * scale + offset
    close(fused.layer_norm(x, keras.Variable(scale), keras.Variable(offset), 1e-3), expected)


def test_layer_norm_of_a_constant_is_the_offset() -> None:
    offset = normal(6)
    got = fused.layer_norm(np.full((1, 1, 6), 5, "float32"), keras.Variable(normal(6)), keras.Variable(offset), 1e-5)
    close(got, offset[None, None])


def slow_attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> Any:
    """Query by query and head by head: (context, weights)."""
    sentences, heads, places, width = key.shape
    length = query.shape[1]
    context = np.zeros((sentences, length, heads * width), "float32")
    weights = np.zeros((sentences, heads, length, places), "float32")
    mask = np.broadcast_to(mask, (sentences, length, places))
    for n, h, t in np.ndindex(sentences, heads, length):
        part = slice(h * width, (h + 1) * width)
        seen = mask[n, t]
        weights[n, h, t, seen] = softmax(key[n, h, seen] @ query[n, t, part] / np.sqrt(width))
        context[n, t, part] = weights[n, h, t] @ value[n, h]
    return context, weights


@pytest.mark.parametrize("each_query", [False, True])
@pytest.mark.parametrize(("length", "places"), [(0, 3), (1, 1), (1, 4), (3, 1), (3, 4)])
def test_attention(length: int, places: int, each_query: bool) -> None:
    query, key, value = normal(2, length, 6), normal(2, 3, places, 2), normal(2, 3, places, 2)
    mask = RNG.random((2, length if each_query else 1, places)) < 0.5
    mask[:, :, 0] = True
    context, weights = slow_attention(query, key, value, mask)
    close(fused.attention(query, key, value, mask), context)
    close(fused.attention_weights(query, key, mask), weights)


def test_a_place_that_is_masked_counts_nothing_however_large_its_score() -> None:
    query, key, mask = np.ones((1, 2, 4)), np.ones((1, 1, 3, 4)), np.array([[[True, False, True]]])
    key[:, :, 1] = 1e6
    weights = np.array(fused.attention_weights(query.astype("float32"), key.astype("float32"), mask))
    np.testing.assert_array_equal(weights, np.broadcast_to([0.5, 0, 0.5], (1, 1, 2, 3)))


def test_rms_norm() -> None:
    x, scale = 3 * normal(2, 4, 6) + 1, normal(6)
    expected = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-3) * scale
    close(fused.rms_norm(x, keras.Variable(scale), 1e-3), expected)


@pytest.mark.parametrize("each_query", [False, True])
def test_attention_with_a_bias(each_query: bool) -> None:
    query, key, value, bias = normal(2, 3, 6), normal(2, 3, 4, 2), normal(2, 3, 4, 2), normal(1, 3, 3, 4)
    mask = RNG.random((2, 3 if each_query else 1, 4)) < 0.5
    mask[:, :, 0] = True
    scores = np.einsum("nthd,nhsd->nhts", query.reshape(2, 3, 3, 2), key) / np.sqrt(2) + bias
    weights = softmax(np.where(mask[:, None], scores, -np.inf))
    close(fused.attention_weights(query, key, mask, bias), weights)
    close(fused.attention(query, key, value, mask, bias), np.einsum("nhts,nhsd->nthd", weights, value).reshape(2, 3, 6))


def test_split_heads() -> None:
    x = np.arange(12).reshape(1, 2, 6)
    assert np.asarray(fused.split_heads(x, 3)).tolist() == [[[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]]


def test_select_picks_within_each_sentence() -> None:
    x = np.arange(12).reshape(2, 3, 2)
    index = np.array([[2, 0], [1, 1]])
    assert np.asarray(fused.select(x, index)).tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]
    assert np.asarray(fused.select(x[:, :, 0], index)).tolist() == [[4, 0], [8, 8]]


def test_split_heads_of_one_place() -> None:
    x = np.arange(12).reshape(2, 1, 6)
    assert np.asarray(fused.split_heads(x, 3)).tolist() == [
        [[[0, 1]], [[2, 3]], [[4, 5]]],
        [[[6, 7]], [[8, 9]], [[10, 11]]],
    ]


def test_top_k_takes_the_first_of_equal_ones() -> None:
    values, places = fused.top_k(np.array([[1, 3, 2, 3], [0, 0, 0, 0]], "float32"), 3)
    assert np.asarray(values).tolist() == [[3, 3, 2], [0, 0, 0]]
    assert np.asarray(places).tolist() == [[1, 3, 2], [0, 1, 2]]


def test_logsumexp() -> None:
    x = normal(2, 3, 5)
    close(fused.logsumexp(x), np.log(np.exp(x).sum(axis=-1)))
    close(fused.logsumexp(np.array([[1000.0, -np.inf]], "float32")), np.array([1000]))
    close(fused.logsumexp(x, True), fused.logsumexp(x))
    close(fused.logsumexp(x, False), np.zeros(x.shape[:-1]))


def slow_lstm(layer: Any, x: np.ndarray, h: np.ndarray, c: np.ndarray, lengths: list[int]) -> Any:
    """Row by row and step by step, with Keras's order of gates: i, f, g, o."""
    w, u, b = layer.get_weights()
    y, h, c = np.zeros((*x.shape[:2], layer.units), "float32"), h.copy(), c.copy()
    for n, length in enumerate(lengths):
        for t in reversed(range(length)) if layer.go_backwards else range(length):
            i, f, g, o = np.split(x[n, t] @ w + h[n] @ u + b, 4)
            c[n] = sigmoid(f) * c[n] + sigmoid(i) * np.tanh(g)
            y[n, t] = h[n] = sigmoid(o) * np.tanh(c[n])
    return y, h, c


def keras_lstm(backwards: bool) -> keras.layers.LSTM:
    layer = keras.layers.LSTM(
        3, return_sequences=True, return_state=True, go_backwards=backwards, zero_output_for_mask=True
    )
    layer.build((None, None, 5))
    layer.set_weights([0.5 * normal(*weight.shape) for weight in layer.weights])
    return layer


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("lengths", [[1, 1], [4, 4], [4, 1], [3, 0]])
def test_lstm(lengths: list[int], backwards: bool) -> None:
    layer, longest = keras_lstm(backwards), max(lengths)
    x, h, c = normal(2, longest, 5), normal(2, 3), normal(2, 3)
    mask = np.arange(longest)[None, :] < np.array(lengths)[:, None]
    got_y, got_h, got_c = fused.lstm(layer, x, (h, c), mask)
    y, h, c = slow_lstm(layer, x, h, c, lengths)
    close(got_y, y)
    close(got_h, h)
    close(got_c, c)


@pytest.mark.parametrize("length", [1, 3])
def test_lstm_without_a_mask(length: int) -> None:
    layer = keras_lstm(backwards=False)
    x, h, c = normal(2, length, 5), normal(2, 3), normal(2, 3)
    got = fused.lstm(layer, x, (h, c))
    for one, other in zip(got, slow_lstm(layer, x, h, c, [length] * 2), strict=True):
        close(one, other)


class Recorder:
    """A backend that knows one operator."""

    def embedding(self, ids: Any, table: Any) -> str:
        return f"embedding of {ids} in a table of {table.shape[0]}"


def test_a_lowering_takes_the_calls_that_it_knows_and_only_inside() -> None:
    table, x = keras.Variable(normal(6, 5)), normal(1, 6)
    with fused.lowering(Recorder()):
        assert fused.embedding(3, table) == "embedding of 3 in a table of 6"
        close(fused.linear(x, table), x @ table.numpy())
    close(fused.embedding(3, table), table.numpy()[3])


def test_a_lowering_ends_with_an_error_inside() -> None:
    table = keras.Variable(normal(6, 5))
    with pytest.raises(KeyError), fused.lowering(Recorder()):
        raise KeyError
    close(fused.embedding(3, table), table.numpy()[3])
