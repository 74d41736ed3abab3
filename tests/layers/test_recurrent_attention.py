"""Attention of recurrent decoders against plain numpy."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import AdditiveAttention, DotAttention, GeneralAttention

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

RNG = np.random.default_rng(1)
# Two sentences of four and two real places.
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
KINDS: dict[str, Any] = {
    "dot": lambda: DotAttention(),
    "scaled": lambda: DotAttention(scaled=True),
    "general": lambda: GeneralAttention(),
    "additive": lambda: AdditiveAttention(7),
}
kinds = pytest.mark.parametrize("kind", KINDS)
folds = pytest.mark.parametrize(("hypotheses", "length"), [(1, 1), (1, 3), (2, 1), (2, 3), (5, 2)])


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def made(kind: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """The layer with its keys and values; keys of the dot product are the values."""
    layer, values = KINDS[kind](), normal(2, 4, 6)
    keys = normal(2, 4, 7 if kind == "additive" else 6) if layer.projects_keys else values
    layer(normal(2, 1, 6), keys, values, MASK)
    layer.set_weights([normal(*w.shape) for w in layer.get_weights()])
    return layer, keys, values


def energies(kind: str, layer: Any, query: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """query (D,), keys (S, A) -> (S,)."""
    if kind == "additive":
        w, b, v = layer.get_weights()
        return np.tanh(query @ w + b + keys) @ v[:, 0]
    return keys @ query / (np.sqrt(6) if kind == "scaled" else 1)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def test_which_keys_are_projected() -> None:
    assert AdditiveAttention.projects_keys and GeneralAttention.projects_keys
    assert not DotAttention.projects_keys


@kinds
@folds
def test_over_unrepeated_memory_equals_numpy(kind: str, hypotheses: int, length: int) -> None:
    layer, keys, values = made(kind)
    query = normal(2 * hypotheses, length, 6)
    context, weights = layer(query, keys, values, MASK)
    assert context.shape == (2 * hypotheses, length, 6)
    assert weights.shape == (2 * hypotheses, length, 4)
    for row, t in np.ndindex(2 * hypotheses, length):
        sentence = row // hypotheses
        real = MASK[sentence]
        expected = np.zeros(4)
        expected[real] = softmax(energies(kind, layer, query[row, t], keys[sentence])[real])
        np.testing.assert_allclose(weights[row, t], expected, atol=1e-5)
        np.testing.assert_allclose(context[row, t], expected @ values[sentence], atol=1e-5)


@kinds
def test_padding_does_not_matter(kind: str) -> None:
    layer, keys, values = made(kind)
    query = normal(2, 3, 6)
    hidden = ~MASK[:, :, None]
    other_values = np.where(hidden, normal(*values.shape), values)
    other_keys = np.where(hidden, normal(*keys.shape), keys)
    for one, other in zip(layer(query, keys, values, MASK), layer(query, other_keys, other_values, MASK), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@kinds
def test_in_onnx_with_hypotheses_of_a_sentence(kind: str, in_onnx: Any) -> None:
    layer, keys, values = made(kind)
    width = keys.shape[-1]
    graph = in_onnx(
        layer,
        [
            ((None, None, 6), "float32"),
            ((None, None, width), "float32"),
            ((None, None, 6), "float32"),
            ((None, None), "bool"),
        ],
    )
    for rows, length in ((2, 1), (6, 2)):
        query = normal(rows, length, 6)
        expected = layer(query, keys, values, MASK)
        for got, theirs in zip(graph(query, keys, values, MASK), expected, strict=True):
            np.testing.assert_allclose(got, theirs, atol=1e-5)
