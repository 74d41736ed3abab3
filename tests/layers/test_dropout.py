"""Dropout by random bytes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.layers import Dropout

X = np.ones((50, 7, 131), "float32")


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.9])
def test_share_and_mean(rate: float) -> None:
    y = np.array(Dropout(rate)(X, training=True))
    assert np.mean(y == 0) == pytest.approx(rate, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.05)
    assert len(np.unique(y)) == 2


def test_elements_are_independent() -> None:
    y = np.array(Dropout(0.5)(X, training=True)) > 0
    for axis in range(3):
        ahead, behind = np.take(y, range(1, y.shape[axis]), axis), np.take(y, range(y.shape[axis] - 1), axis)
        assert np.mean(ahead == behind) == pytest.approx(0.5, abs=0.02)


def test_numbers_of_dropped_elements_vary_as_by_chance() -> None:
    rate = 26 / 256
    layer = Dropout(0.1)
    dropped = np.stack([np.array(layer(np.ones((2000, 128), "float32"), training=True)) == 0 for _ in range(10)])
    for axes in ((1,), (2,), (0,)):  # of a column, of a row, of a place in all calls
        counts = dropped.sum(axes)
        of_one = np.prod([dropped.shape[axis] for axis in axes])
        error = (2 / counts.size) ** 0.5
        assert counts.var() / (of_one * rate * (1 - rate)) == pytest.approx(1, abs=5 * error)


def test_the_gradient_passes_where_the_element_did() -> None:
    x, layer = tf.Variable(X), Dropout(0.3)
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
        total = tf.reduce_sum(y)
    np.testing.assert_allclose(tape.gradient(total, x), y)


def test_each_call_drops_others_and_a_seed_repeats_them() -> None:
    def calls() -> list[np.ndarray]:
        keras.utils.set_random_seed(3)
        layer = Dropout(0.5)
        return [np.array(layer(X, training=True)) for _ in range(2)]

    first, again = calls(), calls()
    np.testing.assert_array_equal(first, again)
    assert np.mean(first[0] == first[1]) < 0.6


def test_nothing_happens_outside_training_and_at_rate_0() -> None:
    np.testing.assert_array_equal(Dropout(0.5)(X), X)
    np.testing.assert_array_equal(Dropout(0.0)(X, training=True), X)


def test_length_is_known_only_at_run_time() -> None:
    layer = Dropout(0.5)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 6))])
    def drop(x: tf.Tensor) -> tf.Tensor:
        return layer(x, training=True)

    assert drop(tf.ones((3, 5, 6))).shape == (3, 5, 6)
    assert drop(tf.ones((0, 5, 6))).shape == (0, 5, 6)
