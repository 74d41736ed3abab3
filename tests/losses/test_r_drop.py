"""R-Drop against its equations, token by token."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.losses import CrossEntropy, RDrop

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(scale=2, size=(4, 3, 6)).astype("float32")
LABELS = np.array([[4, 5, 2], [4, 5, 2], [3, 2, 0], [3, 2, 0]], "int32")
WEIGHTS = (LABELS > 0).astype("float32")


def slow_loss(logits: np.ndarray, smoothing: float, alpha: float) -> np.ndarray:
    """In double precision, (4, 3)."""
    p = np.exp(logits.astype("float64"))
    p /= p.sum(axis=-1, keepdims=True)
    losses = np.zeros(LABELS.shape)
    for b, t in np.ndindex(LABELS.shape):
        target = np.full(6, smoothing / 6)
        target[LABELS[b, t]] += 1 - smoothing
        mine, other = p[b, t], p[b ^ 1, t]
        divergence = (mine * np.log(mine / other)).sum() + (other * np.log(other / mine)).sum()
        losses[b, t] = -(target * np.log(mine)).sum() + alpha / 4 * divergence
    return losses


@pytest.mark.parametrize(("smoothing", "alpha"), [(0.0, 0.0), (0.0, 5.0), (0.1, 5.0), (0.2, 0.5)])
def test_value_is_that_of_the_equations(smoothing: float, alpha: float) -> None:
    expected = slow_loss(LOGITS, smoothing, alpha)
    np.testing.assert_allclose(RDrop(smoothing, alpha).call(LABELS, LOGITS), expected, rtol=1e-5)
    mean = (expected * WEIGHTS).sum() / WEIGHTS.sum()
    np.testing.assert_allclose(RDrop(smoothing, alpha)(LABELS, LOGITS, sample_weight=WEIGHTS), mean, rtol=1e-5)


@pytest.mark.parametrize(("smoothing", "alpha"), [(0.0, 5.0), (0.1, 2.0)])
def test_gradient_equals_finite_differences_everywhere(smoothing: float, alpha: float) -> None:
    weights = RNG.uniform(0.5, 2, LABELS.shape)  # those of the two rows need not be alike
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(RDrop(smoothing, alpha).call(LABELS, logits) * weights.astype("float32"))
    got = tape.gradient(loss, logits).numpy()
    expected = np.zeros(LOGITS.shape)
    for place in np.ndindex(LOGITS.shape):
        step = np.zeros(LOGITS.shape)
        step[place] = 1e-5
        above, below = ((slow_loss(LOGITS + s, smoothing, alpha) * weights).sum() for s in (step, -step))
        expected[place] = (above - below) / 2e-5
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_two_passes_that_agree_have_the_cross_entropy_alone() -> None:
    logits = np.repeat(LOGITS[::2], 2, axis=0)
    np.testing.assert_allclose(RDrop(0.1, 5.0).call(LABELS, logits), CrossEntropy(0.1).call(LABELS, logits), rtol=1e-5)


def test_padding_changes_nothing() -> None:
    more = RNG.normal(scale=9, size=(4, 2, 6)).astype("float32")
    padded, logits = np.pad(LABELS, ((0, 0), (0, 2))), np.concatenate([LOGITS, more], axis=1)
    expected = RDrop(0.1)(LABELS, LOGITS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(RDrop(0.1)(padded, logits, sample_weight=padded > 0), expected, rtol=1e-6)


def test_extreme_logits_stay_finite() -> None:
    logits = tf.Variable([[[1e4, -1e4, 0.0, 0.0, 0.0, 0.0]], [[-1e4, 1e4, 0.0, 0.0, 0.0, 0.0]]])
    with tf.GradientTape() as tape:
        loss = RDrop(0.1)(np.array([[1], [1]]), logits)
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_shapes_may_be_unknown() -> None:
    specs = [tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None, 6), tf.bfloat16)]
    loss = tf.function(RDrop(0.1).call, input_signature=specs)
    logits = tf.cast(LOGITS, tf.bfloat16)
    expected = slow_loss(tf.cast(logits, tf.float32).numpy(), 0.1, 5.0)
    np.testing.assert_allclose(loss(LABELS, logits), expected, rtol=1e-5)


def test_it_survives_being_saved() -> None:
    loss = keras.losses.deserialize(keras.losses.serialize(RDrop(0.1, 2.0)))
    assert isinstance(loss, RDrop)
    np.testing.assert_allclose(loss.call(LABELS, LOGITS), slow_loss(LOGITS, 0.1, 2.0), rtol=1e-5)
