"""Leaving out blocks."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.layers import LayerDrop

BEFORE, AFTER = np.full((2, 3), 1, "float32"), np.full((2, 3), 2, "float32")
modes = pytest.mark.parametrize("is_traced", [False, True])


def in_training(layer: LayerDrop, is_traced: bool) -> Any:
    def function(before: Any, after: Any) -> Any:
        return layer(before, after, training=True)

    return tf.function(function, autograph=False) if is_traced else function


@pytest.mark.parametrize("training", [None, False])
def test_outside_training_the_block_is_always_there(training: bool | None) -> None:
    layer = LayerDrop(0.9)
    for _ in range(20):
        assert np.array_equal(layer(BEFORE, AFTER, training=training), AFTER)


@modes
def test_the_whole_batch_drops_the_block_at_the_rate(is_traced: bool) -> None:
    trials, rate = 400, 0.3
    layer = LayerDrop(rate)
    layer.seed.state.assign([1, 0])
    call, dropped = in_training(layer, is_traced), 0
    for _ in range(trials):
        values = set(np.asarray(call(tf.constant(BEFORE), tf.constant(AFTER))).ravel().tolist())
        assert values in ({1.0}, {2.0})
        dropped += values == {1.0}
    # Four standard deviations.
    assert abs(dropped / trials - rate) < 4 * np.sqrt(rate * (1 - rate) / trials)


@modes
@pytest.mark.parametrize(("rate", "expected"), [(0.0, AFTER), (1.0, BEFORE)])
def test_never_and_always(rate: float, expected: np.ndarray, is_traced: bool) -> None:
    call = in_training(LayerDrop(rate), is_traced)
    for _ in range(20):
        assert np.array_equal(call(tf.constant(BEFORE), tf.constant(AFTER)), expected)


@modes
def test_the_gradient_goes_to_what_was_taken(is_traced: bool) -> None:
    call = in_training(LayerDrop(0.5), is_traced)
    before, after = tf.Variable(BEFORE), tf.Variable(AFTER)
    seen = set()
    for _ in range(40):
        with tf.GradientTape() as tape:
            y = call(tf.convert_to_tensor(before), tf.convert_to_tensor(after))
        to_before, to_after = tape.gradient(y, [before, after])
        is_dropped = bool(y[0, 0] == 1)
        assert np.array_equal(to_before, np.full((2, 3), is_dropped))
        assert np.array_equal(to_after, np.full((2, 3), not is_dropped))
        seen.add(is_dropped)
    assert seen == {False, True}
