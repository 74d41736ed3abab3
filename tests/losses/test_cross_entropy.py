"""Value and gradient of the cross entropy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.losses import CrossEntropy

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(scale=2, size=(3, 4, 6)).astype("float32")
LABELS = np.array([[4, 5, 2, 0], [2, 0, 0, 0], [3, 3, 4, 2]], "int32")
WEIGHTS = (LABELS > 0).astype("float32")


def slow_loss(labels: np.ndarray, logits: np.ndarray, weights: np.ndarray, smoothing: float) -> float:
    """Token by token, in double precision."""
    total = 0.0
    for b, t in np.ndindex(labels.shape):
        p = np.exp(logits[b, t].astype("float64"))
        log_p = np.log(p / p.sum())
        target = np.full(6, smoothing / 6)
        target[labels[b, t]] += 1 - smoothing
        total += weights[b, t] * -(target * log_p).sum()
    return total / weights.sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_value_is_the_mean_over_real_tokens(smoothing: float) -> None:
    got = CrossEntropy(smoothing)(LABELS, LOGITS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(got, slow_loss(LABELS, LOGITS, WEIGHTS, smoothing), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_changes_nothing(smoothing: float) -> None:
    def loss(labels: np.ndarray, logits: np.ndarray) -> float:
        return float(CrossEntropy(smoothing)(labels, logits, sample_weight=labels > 0))

    more = RNG.normal(scale=9, size=(3, 2, 6)).astype("float32")
    padded = np.pad(LABELS, ((0, 0), (0, 2)))
    assert loss(padded, np.concatenate([LOGITS, more], axis=1)) == pytest.approx(loss(LABELS, LOGITS), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_label_whose_probability_is_no_float_has_its_loss_too(smoothing: float) -> None:
    logits = np.where(np.eye(6)[LABELS] > 0, LOGITS - 200, LOGITS).astype("float32")
    got = CrossEntropy(smoothing)(LABELS, logits, sample_weight=WEIGHTS)
    np.testing.assert_allclose(got, slow_loss(LABELS, logits, WEIGHTS, smoothing), rtol=1e-5)


def test_each_token_has_its_own_loss() -> None:
    got = CrossEntropy(0.1).call(LABELS, LOGITS)
    expected = [
        [slow_loss(LABELS[b, t][None, None], LOGITS[b, t][None, None], np.ones((1, 1)), 0.1) for t in range(4)]
        for b in range(3)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient_equals_automatic_differentiation(smoothing: float) -> None:
    logits = tf.Variable(LOGITS)
    with tf.GradientTape(persistent=True) as tape:
        loss = CrossEntropy(smoothing)(LABELS, logits, sample_weight=WEIGHTS)
        target = (1 - smoothing) * tf.one_hot(LABELS, 6) + smoothing / 6
        per_token = -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1)
        plain = tf.reduce_sum(per_token * WEIGHTS) / tf.reduce_sum(WEIGHTS)
    got = tape.gradient(loss, logits).numpy()
    np.testing.assert_allclose(got, tape.gradient(plain, logits), atol=1e-6)
    assert not got[WEIGHTS == 0].any()
    assert np.abs(got[WEIGHTS == 1]).max() > 0.01


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient_equals_finite_differences(smoothing: float) -> None:
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = CrossEntropy(smoothing)(LABELS, logits, sample_weight=WEIGHTS)
    got = tape.gradient(loss, logits).numpy()
    for place in [(0, 1, 5), (0, 1, 2), (2, 3, 2), (1, 0, 0)]:
        step = np.zeros(LOGITS.shape)
        step[place] = 1e-4
        above, below = (slow_loss(LABELS, LOGITS + s, WEIGHTS, smoothing) for s in (step, -step))
        assert got[place] == pytest.approx((above - below) / 2e-4, abs=1e-5)


def test_extreme_logits_stay_finite() -> None:
    logits = tf.Variable([[[1e4, -1e4, 0.0, 0.0, 0.0, 0.0]]])
    with tf.GradientTape() as tape:
        loss = CrossEntropy(0.1)(np.array([[1]]), logits)
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_it_survives_being_saved() -> None:
    loss = keras.losses.deserialize(keras.losses.serialize(CrossEntropy(0.1)))
    assert isinstance(loss, CrossEntropy)
    assert loss.smoothing == 0.1
    got = loss(LABELS, LOGITS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(got, slow_loss(LABELS, LOGITS, WEIGHTS, 0.1), rtol=1e-5)
