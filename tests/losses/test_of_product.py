"""Losses of logits that know what they are the product of, against the same losses of logits that do not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.layers.product import Product, remember
from keras_s2s.losses import CrossEntropy, RDrop

RNG = np.random.default_rng(1)
LOSSES = [CrossEntropy(), CrossEntropy(0.1), RDrop(0.0, 2.0), RDrop(0.1, 0.5)]


def of_loss(loss: keras.losses.Loss) -> str:
    """The name of a case."""
    return "-".join(map(str, loss.get_config().values()))


@pytest.mark.parametrize("length", [3, 700])
@pytest.mark.parametrize("loss", LOSSES, ids=of_loss)
def test_value_and_gradient_are_the_same(loss: keras.losses.Loss, length: int) -> None:
    x, matrix, bias = (tf.Variable(RNG.normal(size=size), dtype="float32") for size in ((4, length, 3), (6, 3), (6,)))
    labels = np.repeat(RNG.integers(0, 6, (2, length)), 2, axis=0)  # each pair twice, as for R-Drop
    weights = np.where(labels > 0, np.repeat(RNG.uniform(0.5, 2, (2, length)), 2, axis=0), 0).astype("float32")

    def gradients(remembers: bool) -> tuple[float, list[np.ndarray]]:
        with tf.GradientTape() as tape:
            factors = [tf.convert_to_tensor(value) for value in (x, matrix, bias)]
            logits = tf.einsum("btd,vd->btv", *factors[:2]) + factors[2]
            if remembers:
                remember(logits, Product(*factors))
            value = 3 * loss(labels, logits, sample_weight=weights)
        return float(value), [np.array(gradient) for gradient in tape.gradient(value, [x, matrix, bias])]

    (value, got), (expected_value, expected) = gradients(True), gradients(False)
    assert value == pytest.approx(expected_value, rel=1e-5)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=of_loss)
def test_the_logits_themselves_are_not_read(loss: keras.losses.Loss) -> None:
    factors = [tf.ones((2, 3, 4)), tf.ones((6, 4)), tf.zeros(6)]
    logits = remember(tf.fill((2, 3, 6), np.nan), Product(*factors))
    assert np.isfinite(float(loss(np.ones((2, 3), int), logits, sample_weight=np.ones((2, 3)))))


@pytest.mark.parametrize("loss", LOSSES, ids=of_loss)
def test_a_batch_without_labels_has_no_loss(loss: keras.losses.Loss) -> None:
    factors = [tf.ones((2, 3, 4)), tf.ones((6, 4)), tf.zeros(6)]
    logits = remember(tf.ones((2, 3, 6)), Product(*factors))
    assert float(loss(np.zeros((2, 3), int), logits, sample_weight=np.zeros((2, 3)))) == 0
