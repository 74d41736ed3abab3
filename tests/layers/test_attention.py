"""Attention layers against plain numpy."""

from typing import Any

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import CrossAttention, MemoryKeysValues, SelfAttention, causal_mask
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


def attend(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray, heads: int, bias: Any = None
) -> tuple:
    """One sentence: query (T, D), key and value (S, D), mask (T, S) -> context (T, D), mean weights (T, S).

    A bias (H, T, S) is added to the scores.
    """
    bias = np.zeros((heads, 1, 1)) if bias is None else bias
    width = query.shape[1] // heads
    context, weights = np.zeros_like(query), np.zeros(mask.shape)
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = query[:, part] @ key[:, part].T / np.sqrt(width) + bias[h]
        p = softmax(np.where(mask, scores, -np.inf))
        context[:, part] = p @ value[:, part]
        weights += p / heads
    return context, weights


def randomize(layer: object) -> None:
    layer.set_weights([normal(*w.shape) / 2 for w in layer.get_weights()])  # type: ignore[attr-defined]


def test_causal_mask_of_a_whole_sequence() -> None:
    mask = np.asarray(causal_mask(np.array([0, 0]), 0, 3)).astype(int)
    assert mask.tolist() == [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]] * 2


def test_causal_mask_of_rows_of_different_age() -> None:
    # The newest first: two new tokens, then the cache's three places; the rows have seen three tokens, one, and none.
    mask = np.asarray(causal_mask(np.array([3, 1, 0]), 3, 2)).astype(int)
    assert mask.tolist() == [
        [[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
        [[0, 1, 1, 0, 0], [1, 1, 1, 0, 0]],
        [[0, 1, 0, 0, 0], [1, 1, 0, 0, 0]],
    ]


def test_causal_mask_of_one_step() -> None:
    mask = np.asarray(causal_mask(np.array([2, 0]), 2, 1)).astype(int)
    assert mask.tolist() == [[[1, 1, 1]], [[1, 0, 0]]]


def test_fold_puts_the_hypotheses_of_a_sentence_behind_each_other() -> None:
    rows = np.arange(24).reshape(4, 3, 2)  # R = 4 rows, K = 2
    assert np.asarray(fold(rows, 2)).tolist() == rows.reshape(2, 6, 2).tolist()


@pytest.mark.parametrize("head_width", [None, 5])
def test_self_attention_equals_numpy(head_width: int | None) -> None:
    layer = SelfAttention(6, heads=3, head_width=head_width)
    x, inner = normal(2, 4, 6), 3 * (head_width or 2)
    mask = np.broadcast_to(np.tril(np.ones((4, 4), bool)), (2, 4, 4))
    layer(x, mask)
    randomize(layer)
    y, (key, value) = layer(x, mask)
    w, b, w_out, b_out = layer.get_weights()
    for n in range(2):
        q, k, v = np.split(x[n] @ w + b, 3, axis=1)
        expected = attend(q, k, v, mask[n], heads=3)[0] @ w_out + b_out
        np.testing.assert_allclose(y[n], expected, atol=1e-5)
        np.testing.assert_allclose(np.asarray(key)[n, :, ::-1].transpose(1, 0, 2).reshape(4, inner), k, atol=1e-5)
        np.testing.assert_allclose(np.asarray(value)[n, :, ::-1].transpose(1, 0, 2).reshape(4, inner), v, atol=1e-5)


@pytest.mark.parametrize("head_width", [None, 5])
@pytest.mark.parametrize("past", [0, 1, 3])
def test_self_attention_over_a_cache_equals_the_whole(past: int, head_width: int | None) -> None:
    layer = SelfAttention(6, heads=2, head_width=head_width)
    x = normal(2, 4, 6)
    whole, cache = layer(x, causal_mask(np.zeros(2, int), 0, 4))
    _, first = layer(x[:, :past], causal_mask(np.zeros(2, int), 0, past))
    rest, after = layer(x[:, past:], causal_mask(np.full(2, past), past, 4 - past), first)
    np.testing.assert_allclose(rest, whole[:, past:], atol=1e-5)
    for one, other in zip(after, cache, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("hypotheses", [1, 2])
@pytest.mark.parametrize("head_width", [None, 5])
def test_cross_attention_over_unrepeated_memory_equals_numpy(
    head_width: int | None, hypotheses: int, length: int
) -> None:
    layer = CrossAttention(6, queries=head_width and 3 * head_width)
    memory = MemoryKeysValues(6, heads=3, head_width=head_width)
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


def turned(x: np.ndarray, positions: np.ndarray, heads: int) -> np.ndarray:
    """Rotates each pair of axes of each head as a complex number: x (T, D), positions (T,) -> (T, D)."""
    parts = []
    for head in np.split(x.astype("float64"), heads, axis=1):
        half = head.shape[1] // 2
        angles = positions[:, None] * 10000.0 ** (-np.arange(half) / half)
        pairs = (head[:, :half] + 1j * head[:, half:]) * np.exp(1j * angles)
        parts += [pairs.real, pairs.imag]
    return np.concatenate(parts, axis=1)


def made_self_attention(**options: Any) -> SelfAttention:
    layer = SelfAttention(8, heads=2, **options)
    layer(normal(1, 1, 8), np.ones((1, 1, 1), bool), positions=np.zeros((1, 1), int))
    randomize(layer)
    return layer


def causal(length: int, past: int = 0) -> Any:
    return causal_mask(np.full(2, past), past, length)


def test_rotary_self_attention_with_a_bias_equals_numpy() -> None:
    layer = made_self_attention(rotary=True)
    x, bias, positions = normal(2, 4, 8), normal(1, 2, 4, 4), np.array([[0, 1, 2, 3], [5, 6, 7, 8]])
    mask = np.asarray(causal(4))
    y, (key, value) = layer(x, mask, positions=positions, bias=bias)
    w, b, w_out, b_out = layer.get_weights()
    for n in range(2):
        q, k, v = np.split(x[n] @ w + b, 3, axis=1)
        q, k = turned(q, positions[n], 2), turned(k, positions[n], 2)
        expected = attend(q, k, v, mask[n], heads=2, bias=bias[0])[0] @ w_out + b_out
        np.testing.assert_allclose(y[n], expected, atol=1e-5)
        np.testing.assert_allclose(np.asarray(key)[n, :, ::-1].transpose(1, 0, 2).reshape(4, 8), k, atol=1e-5)
        np.testing.assert_allclose(np.asarray(value)[n, :, ::-1].transpose(1, 0, 2).reshape(4, 8), v, atol=1e-5)


def test_of_a_bias_only_differences_count() -> None:
    layer = made_self_attention()
    x, bias = normal(2, 4, 8), normal(1, 2, 4, 4)
    mask = causal(4)
    plain, biased = layer(x, mask)[0], layer(x, mask, bias=bias)[0]
    np.testing.assert_allclose(layer(x, mask, bias=bias + 3)[0], biased, atol=1e-5)
    np.testing.assert_allclose(layer(x, mask, bias=0 * bias)[0], plain, atol=1e-6)
    assert np.abs(np.asarray(biased) - np.asarray(plain))[:, 1:].max() > 0.01


def test_a_bias_far_down_hides_a_place() -> None:
    layer = made_self_attention()
    x = normal(2, 4, 8)
    everything = np.ones((2, 1, 4), bool)
    bias = np.where(np.arange(4) == 2, -1e4, 0.0).astype("float32") * np.ones((1, 2, 4, 1), "float32")
    hidden = everything & (np.arange(4) != 2)
    np.testing.assert_allclose(layer(x, everything, bias=bias)[0], layer(x, hidden)[0], atol=1e-5)


def test_rotary_self_attention_does_not_see_a_shift_but_sees_the_order() -> None:
    layer = made_self_attention(rotary=True)
    x, mask = normal(2, 4, 8), causal(4)
    positions = np.array([[0, 1, 2, 3]] * 2)
    y = layer(x, mask, positions=positions)[0]
    shifted = layer(x, mask, positions=positions + np.array([[7], [30]]))[0]
    np.testing.assert_allclose(shifted, y, atol=1e-4)
    other = layer(x, mask, positions=positions[:, ::-1])[0]
    assert np.abs(np.asarray(other) - np.asarray(y))[:, 1:].max() > 0.01


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("cut", [1, 3, 5])
def test_rotary_and_biased_self_attention_in_parts_equals_the_whole(cut: int, rotary: bool) -> None:
    layer = made_self_attention(rotary=rotary)
    x, bias, positions = normal(2, 6, 8), normal(1, 2, 6, 6), np.array([[0, 1, 2, 3, 4, 5]] * 2)
    whole, cache = layer(x, causal(6), positions=positions, bias=bias)
    head, between = layer(x[:, :cut], causal(cut), positions=positions[:, :cut], bias=bias[:, :, :cut, :cut])
    newest_first = bias[:, :, cut:, ::-1]
    tail, after = layer(x[:, cut:], causal(6 - cut, cut), between, positions=positions[:, cut:], bias=newest_first)
    np.testing.assert_allclose(np.concatenate([head, tail], axis=1), whole, atol=1e-5)
    for one, other in zip(after, cache, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("length", [None, 1])
def test_self_attention_over_a_cache_in_onnx(length: int | None, rotary: bool, in_onnx: Any) -> None:
    """The mask differs by query where there are several; rows have different ages.

    Positions that are not read are given back, because the converter drops inputs that lead nowhere.
    """
    layer = made_self_attention(rotary=rotary)

    def step(x: Any, mask: Any, key: Any, value: Any, positions: Any, bias: Any) -> Any:
        y, cache = layer(x, mask, (key, value), positions if rotary else None, bias)
        return (y, *cache) if rotary else (y, *cache, positions)

    signature: list = [
        ((None, length, 8), "float32"),
        ((None, length, None), "bool"),
        *[((None, 2, None, 4), "float32")] * 2,
        ((None, length), "int32"),
        ((1, 2, length, None), "float32"),
    ]
    graph = in_onnx(step, signature)
    for past, new in ((0, 1), (3, 1)) if length else ((0, 1), (1, 4), (3, 1), (3, 2)):
        ages = np.array([past, past // 2])
        mask = np.asarray(causal_mask(ages, past, new))
        positions = (ages[:, None] + np.arange(new)).astype("int32")
        inputs = [normal(2, new, 8), mask, normal(2, 2, past, 4), normal(2, 2, past, 4), positions]
        inputs.append(normal(1, 2, new, past + new))
        for got, expected in zip(graph(*inputs), step(*inputs), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=f"{new} after {past}")


def test_attention_of_a_step_is_the_same_whatever_pads_the_cache(in_onnx: Any) -> None:
    """To the bit: the same numbers are added from the first place on.

    But for 4n + 3 keys, the last three of which onnxruntime adds in another order than if zeros follow.
    """
    layer = made_self_attention()

    def step(x: Any, position: Any, key: Any, value: Any) -> Any:
        return layer(x, causal_mask(position, ops.shape(key)[2], 1), (key, value))

    signature: list = [((None, 1, 8), "float32"), ((None,), "int32"), *[((None, 2, None, 4), "float32")] * 2]
    graph = in_onnx(step, signature)
    for past in range(40):
        x, key, value = normal(20, 1, 8), normal(20, 2, past, 4), normal(20, 2, past, 4)
        position = np.full(20, past, "int32")
        alone, *_ = graph(x, position, key, value)
        for more in (1, 2, 3, 5, 16, 30):
            wide = [np.concatenate([part, normal(20, 2, more, 4)], axis=2) for part in (key, value)]
            padded, new_key, _ = graph(x, position, *wide)
            np.testing.assert_array_equal(new_key[:, :, 1:], wide[0])
            if (past + 1) % 4 == 3:
                np.testing.assert_allclose(padded, alone, atol=1e-5)
            else:
                np.testing.assert_array_equal(padded, alone)
