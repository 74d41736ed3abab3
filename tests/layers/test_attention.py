"""Attention layers against plain numpy."""

import numpy as np
import pytest

from keras_s2s.layers import AdditiveAttention, CrossAttention, MemoryKeysValues, SelfAttention, causal_mask
from keras_s2s.layers.attention import fold

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

RNG = np.random.default_rng(1)
# Two sentences of four and two real places.
MEMORY_MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attend(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray, heads: int) -> tuple:
    """One sentence: query (T, D), key and value (S, D), mask (T, S) -> context (T, D), mean weights (T, S)."""
    width = query.shape[1] // heads
    context, weights = np.zeros_like(query), np.zeros(mask.shape)
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        p = softmax(np.where(mask, query[:, part] @ key[:, part].T / np.sqrt(width), -np.inf))
        context[:, part] = p @ value[:, part]
        weights += p / heads
    return context, weights


def randomize(layer: object) -> None:
    layer.set_weights([normal(*w.shape) / 2 for w in layer.get_weights()])  # type: ignore[attr-defined]


def test_causal_mask_of_a_whole_sequence() -> None:
    mask = np.asarray(causal_mask(np.array([0, 0]), 0, 3)).astype(int)
    assert mask.tolist() == [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]] * 2


def test_causal_mask_of_rows_of_different_age() -> None:
    # The cache has three places; the rows have seen three tokens, one, and none.
    mask = np.asarray(causal_mask(np.array([3, 1, 0]), 3, 2)).astype(int)
    assert mask.tolist() == [
        [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]],
        [[0, 0, 1, 1, 0], [0, 0, 1, 1, 1]],
        [[0, 0, 0, 1, 0], [0, 0, 0, 1, 1]],
    ]


def test_causal_mask_of_one_step() -> None:
    mask = np.asarray(causal_mask(np.array([2, 0]), 2, 1)).astype(int)
    assert mask.tolist() == [[[1, 1, 1]], [[0, 0, 1]]]


def test_fold_puts_the_hypotheses_of_a_sentence_behind_each_other() -> None:
    rows = np.arange(24).reshape(4, 3, 2)  # R = 4 rows, K = 2
    assert np.asarray(fold(rows, 2)).tolist() == rows.reshape(2, 6, 2).tolist()


def test_self_attention_equals_numpy() -> None:
    layer = SelfAttention(6, heads=3)
    x = normal(2, 4, 6)
    mask = np.broadcast_to(np.tril(np.ones((4, 4), bool)), (2, 4, 4))
    layer(x, mask)
    randomize(layer)
    y, (key, value) = layer(x, mask)
    w, b, w_out, b_out = layer.get_weights()
    for n in range(2):
        q, k, v = np.split(x[n] @ w + b, 3, axis=1)
        expected = attend(q, k, v, mask[n], heads=3)[0] @ w_out + b_out
        np.testing.assert_allclose(y[n], expected, atol=1e-5)
        np.testing.assert_allclose(np.asarray(key)[n].transpose(1, 0, 2).reshape(4, 6), k, atol=1e-5)
        np.testing.assert_allclose(np.asarray(value)[n].transpose(1, 0, 2).reshape(4, 6), v, atol=1e-5)


@pytest.mark.parametrize("past", [0, 1, 3])
def test_self_attention_over_a_cache_equals_the_whole(past: int) -> None:
    layer = SelfAttention(6, heads=2)
    x = normal(2, 4, 6)
    whole, cache = layer(x, causal_mask(np.zeros(2, int), 0, 4))
    _, first = layer(x[:, :past], causal_mask(np.zeros(2, int), 0, past))
    rest, after = layer(x[:, past:], causal_mask(np.full(2, past), past, 4 - past), first)
    np.testing.assert_allclose(rest, whole[:, past:], atol=1e-5)
    for one, other in zip(after, cache, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("hypotheses", [1, 2])
def test_cross_attention_over_unrepeated_memory_equals_numpy(hypotheses: int, length: int) -> None:
    layer, memory = CrossAttention(6), MemoryKeysValues(6, heads=3)
    encoded, x = normal(2, 4, 6), normal(2 * hypotheses, length, 6)
    layer(x, *memory(encoded), MEMORY_MASK)
    randomize(layer)
    randomize(memory)
    key, value = memory(encoded)
    y, weights = layer(x, key, value, MEMORY_MASK), layer.weights_of(x, key, MEMORY_MASK)
    assert y.shape == x.shape
    w_q, b_q, w_out, b_out = layer.get_weights()
    w_kv, b_kv = memory.get_weights()
    for row in range(2 * hypotheses):
        sentence = row // hypotheses
        k, v = np.split(encoded[sentence] @ w_kv + b_kv, 2, axis=1)
        mask = np.broadcast_to(MEMORY_MASK[sentence], (length, 4))
        context, expected = attend(x[row] @ w_q + b_q, k, v, mask, heads=3)
        np.testing.assert_allclose(y[row], context @ w_out + b_out, atol=1e-5)
        np.testing.assert_allclose(weights[row], expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("hypotheses", [1, 2])
def test_additive_attention_over_unrepeated_memory_equals_numpy(hypotheses: int, length: int) -> None:
    layer = AdditiveAttention(7)
    query, keys, values = normal(2 * hypotheses, length, 6), normal(2, 4, 7), normal(2, 4, 5)
    layer(query, keys, values, MEMORY_MASK)
    randomize(layer)
    context, weights = layer(query, keys, values, MEMORY_MASK)
    assert context.shape == (2 * hypotheses, length, 5)
    assert weights.shape == (2 * hypotheses, length, 4)
    w_q, b_q, v = layer.get_weights()
    for row, t in np.ndindex(2 * hypotheses, length):
        sentence = row // hypotheses
        energy = np.tanh(query[row, t] @ w_q + b_q + keys[sentence]) @ v[:, 0]
        expected = softmax(np.where(MEMORY_MASK[sentence], energy, -np.inf))
        np.testing.assert_allclose(weights[row, t], expected, atol=1e-5)
        np.testing.assert_allclose(context[row, t], expected @ values[sentence], atol=1e-5)
