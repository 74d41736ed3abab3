"""The bag of tokens against its definition, and a bag beside cross entropy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.losses import BagOfTokens, CrossEntropy, Total

RNG = np.random.default_rng(1)
LABELS = np.array([[4, 5, 4, 2], [6, 2, 0, 0], [3, 3, 3, 2], [2, 0, 0, 0]], "int32")
LOGITS = RNG.normal(scale=2, size=(4, 4, 7)).astype("float32")
WEIGHTS = (LABELS > 0).astype("float32")


def slow_loss(logits: np.ndarray, labels: np.ndarray = LABELS) -> np.ndarray:
    """The loss of each sentence, id by id, in double precision."""
    p = np.exp(logits.astype("float64"))
    p /= p.sum(axis=-1, keepdims=True)
    losses = np.zeros(len(labels))
    for b, row in enumerate(labels):
        places = [t for t, label in enumerate(row) if label not in (0, 2)]
        for v in range(logits.shape[-1]):
            target = sum(row[t] == v for t in places)
            if target:
                share, expected = target / len(places), np.mean([p[b, t, v] for t in places])
                losses[b] += target * np.log(share / expected)
    return losses


def test_value_is_the_divergence_of_the_bags_spread_over_the_labels() -> None:
    got = np.asarray(BagOfTokens().call(LABELS, LOGITS))
    expected = slow_loss(LOGITS)
    np.testing.assert_allclose(got.sum(axis=1), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got, WEIGHTS * (expected / WEIGHTS.sum(axis=1))[:, None], rtol=1e-5, atol=1e-6)
    mean = BagOfTokens()(LABELS, LOGITS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(mean, expected.sum() / WEIGHTS.sum(), rtol=1e-5)


def test_gradient_equals_finite_differences_everywhere() -> None:
    scale = np.array([1.0, 2.0, 0.5, 1.0])
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(BagOfTokens().call(LABELS, tf.identity(logits)) * scale.astype("float32")[:, None])
    got = tape.gradient(loss, logits).numpy()
    expected = np.zeros(LOGITS.shape)
    for place in np.ndindex(LOGITS.shape):
        step = np.zeros(LOGITS.shape)
        step[place] = 1e-5
        above, below = ((slow_loss(LOGITS + s) * scale).sum() for s in (step, -step))
        expected[place] = (above - below) / 2e-5
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_order_does_not_matter_and_the_right_bag_costs_nothing() -> None:
    logits = np.full((1, 4, 7), -30.0, "float32")
    logits[0, [0, 1, 2, 3], [5, 4, 4, 2]] = 30
    assert float(BagOfTokens()(LABELS[:1], logits)) == pytest.approx(0, abs=1e-5)
    assert float(CrossEntropy()(LABELS[:1], logits)) > 20


def test_tokens_given_to_eos_too_early_are_paid_for() -> None:
    logits = np.zeros((1, 4, 7), "float32")
    early = logits.copy()
    early[0, 1, 2] = 5
    assert float(BagOfTokens()(LABELS[:1], early)) > float(BagOfTokens()(LABELS[:1], logits)) + 0.1


def test_extreme_logits_stay_finite() -> None:
    logits = tf.Variable(LOGITS * 1e4)
    with tf.GradientTape() as tape:
        loss = BagOfTokens()(LABELS, tf.identity(logits), sample_weight=WEIGHTS)
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_shapes_may_be_unknown() -> None:
    specs = [tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None, 7), tf.float32)]
    got = tf.function(BagOfTokens().call, input_signature=specs)(LABELS, LOGITS)
    np.testing.assert_allclose(np.sum(got, axis=1), slow_loss(LOGITS), rtol=1e-5, atol=1e-6)


def test_a_total_is_the_weighted_sum_and_trains_under_compile() -> None:
    total = Total([(CrossEntropy(0.1), 1.0), (BagOfTokens(), 0.5)])
    expected = np.asarray(CrossEntropy(0.1).call(LABELS, LOGITS)) + 0.5 * np.asarray(BagOfTokens().call(LABELS, LOGITS))
    np.testing.assert_allclose(total.call(LABELS, LOGITS), expected, rtol=1e-5)
    inputs = keras.Input((4, 7))
    model = keras.Model(inputs, keras.layers.Dense(7)(inputs))
    model.compile(loss=total, optimizer=keras.optimizers.Adam(0.1))
    losses = model.fit(LOGITS, LABELS, sample_weight=WEIGHTS, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    scores = model(LOGITS)
    found = total(LABELS, scores, sample_weight=WEIGHTS)
    assert float(found) == pytest.approx(model.evaluate(LOGITS, LABELS, sample_weight=WEIGHTS, verbose=0), rel=1e-5)


def test_they_survive_being_saved() -> None:
    total = Total([(CrossEntropy(0.1), 1.0), (BagOfTokens(), 0.5)])
    loss = keras.losses.deserialize(keras.losses.serialize(total))
    assert isinstance(loss, Total)
    np.testing.assert_allclose(loss.call(LABELS, LOGITS), total.call(LABELS, LOGITS))
