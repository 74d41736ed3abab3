"""Linear chains, against every labelling."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.dynamic.crf import log_partition, marginals, path_score, viterbi

RNG = np.random.default_rng(9)
BOS = 1


def random_potentials(batch: int, length: int, vocabulary: int = 4) -> np.ndarray:
    return RNG.normal(scale=2, size=(batch, length, vocabulary, vocabulary)).astype("float32")


def padded(potentials: np.ndarray, places: int) -> np.ndarray:
    vocabulary = potentials.shape[-1]
    identity = np.where(np.eye(vocabulary) > 0, 0, -1e9).astype("float32")
    more = np.tile(identity, (len(potentials), places, 1, 1))
    return np.concatenate([potentials, more], axis=1)


def score(potentials: np.ndarray, labels: tuple[int, ...]) -> float:
    """(S, V, V) and one labelling."""
    chain = itertools.pairwise((BOS, *labels))
    return sum(float(potentials[s, i, j]) for s, (i, j) in enumerate(chain))


def every_score(potentials: np.ndarray) -> dict[tuple[int, ...], float]:
    length, vocabulary = potentials.shape[:2]
    return {labels: score(potentials, labels) for labels in itertools.product(range(vocabulary), repeat=length)}


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_sums_and_maxima_over_all_labellings(length: int) -> None:
    potentials = random_potentials(5, length)
    partition, shares = log_partition(potentials), marginals(potentials)
    tokens, scores = viterbi(potentials)
    for b in range(5):
        every = every_score(potentials[b])
        total = np.logaddexp.reduce(list(every.values()))
        assert float(partition[b]) == pytest.approx(total, abs=1e-5)
        best = max(every, key=every.__getitem__)
        assert tuple(tokens[b].numpy()) == best
        assert float(scores[b]) == pytest.approx(every[best], abs=1e-5)
        expected = np.zeros((length, 4))
        for labels, value in every.items():
            expected[np.arange(length), labels] += np.exp(value - total)
        np.testing.assert_allclose(shares[b], expected, atol=1e-5)


def test_path_score_adds_potentials() -> None:
    potentials = random_potentials(4, 5)
    labels = np.array([[1, 2, 3, 2, 1], [3, 3, 3, 3, 3], [2, 1, 2, 1, 2], [1, 1, 3, 3, 2]], "int32")
    expected = [score(p, tuple(row)) for p, row in zip(potentials, labels, strict=True)]
    np.testing.assert_allclose(path_score(potentials, labels), expected, atol=1e-5)


def test_label_0_stays_at_the_last() -> None:
    potentials = random_potentials(3, 4)
    labels = np.array([[3, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]], "int32")
    stayed = [(3, 2, 2, 2), (2, 2, 2, 2), (1, 1, 1, 1)]
    expected = [score(p, row) for p, row in zip(potentials, stayed, strict=True)]
    np.testing.assert_allclose(path_score(potentials, labels), expected, atol=1e-5)


def test_padded_places_and_batch_mates_change_nothing() -> None:
    lengths = [6, 1, 4, 3]
    potentials = random_potentials(4, 6, 5)
    labels = np.zeros((4, 6), "int32")
    for b, length in enumerate(lengths):
        potentials[b : b + 1] = padded(potentials[b : b + 1, :length], 6 - length)
        labels[b, :length] = RNG.integers(1, 5, size=length)
    tokens, scores = viterbi(potentials)
    for b, length in enumerate(lengths):
        own = potentials[b : b + 1, :length]
        np.testing.assert_allclose(log_partition(potentials)[b], log_partition(own)[0], atol=1e-5)
        np.testing.assert_allclose(
            path_score(potentials, labels)[b], path_score(own, labels[b : b + 1, :length])[0], atol=1e-5
        )
        np.testing.assert_array_equal(tokens[b, :length], viterbi(own)[0][0])
        assert not tokens[b, length:].numpy().any()
        assert float(scores[b]) == float(viterbi(own)[1][0])
        shares = marginals(potentials)[b]
        np.testing.assert_allclose(shares[:length], marginals(own)[0], atol=1e-5)
        np.testing.assert_allclose(shares[length:], np.tile(shares[length - 1], (6 - length, 1)), atol=1e-5)


def test_gradients_equal_finite_differences() -> None:
    potentials = tf.Variable(padded(random_potentials(2, 3), 1))
    labels = np.array([[3, 2, 1, 0], [2, 2, 0, 0]], "int32")
    weights = np.array([1.0, -2.0], "float32")

    def total(values: np.ndarray) -> float:
        """In double precision, by every labelling."""
        partitions = [np.logaddexp.reduce(list(every_score(p).values())) for p in values]
        paths = [score(values[0], (3, 2, 1, 1)), score(values[1], (2, 2, 2, 2))]
        return float(np.dot(weights, np.array(partitions) - paths))

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * (log_partition(potentials) - path_score(potentials, labels)))
    gradient = tape.gradient(loss, potentials).numpy()
    values = potentials.numpy().astype("float64")
    assert float(loss) == pytest.approx(total(values), abs=1e-4)
    for place in np.ndindex(2, 3, 4, 4):
        step = np.zeros_like(values)
        step[place] = 1e-4
        assert gradient[place] == pytest.approx((total(values + step) - total(values - step)) / 2e-4, abs=1e-4)


def test_gradient_of_the_partition_is_the_marginals() -> None:
    potentials = tf.Variable(random_potentials(3, 8, 6))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(log_partition(potentials))
    gradient = tape.gradient(loss, potentials)
    np.testing.assert_allclose(np.sum(gradient, axis=2), marginals(potentials), atol=1e-5)
    np.testing.assert_allclose(np.sum(gradient, axis=(2, 3)), 1, atol=1e-5)


def test_training_is_traced_with_any_sizes() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, None, 4, 4)), tf.TensorSpec((None, None), tf.int32)])
    def loss(potentials: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(potentials)
            value = log_partition(potentials) - path_score(potentials, labels)
        return value, tape.gradient(value, potentials)

    for batch, length in [(1, 1), (3, 5), (2, 1)]:
        potentials = random_potentials(batch, length)
        labels = RNG.integers(1, 4, size=(batch, length)).astype("int32")
        value, gradient = loss(potentials, labels)
        expected = log_partition(potentials) - path_score(potentials, labels)
        np.testing.assert_allclose(value, expected, atol=1e-5)
        np.testing.assert_allclose(np.sum(gradient, axis=(2, 3)), 0, atol=1e-5)


def test_it_is_the_same_in_onnx(in_onnx: Callable) -> None:
    def every(potentials: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (*viterbi(potentials), marginals(potentials))

    run = in_onnx(every, tf.TensorSpec((None, None, 5, 5)))
    for batch, length, padding in [(1, 1, 0), (1, 6, 2), (4, 1, 1), (3, 12, 4)]:
        potentials = padded(random_potentials(batch, length, 5), padding)
        got, expected = run(potentials), every(potentials)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_allclose(got[1], expected[1], atol=1e-5)
        np.testing.assert_allclose(got[2], expected[2], atol=1e-5)
