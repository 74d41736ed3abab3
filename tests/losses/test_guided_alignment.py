"""Guided alignment."""

import keras
import numpy as np
import tensorflow as tf

from keras_s2s.losses import GuidedAlignment

ATTENTION = np.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], "float32")
PLACES = np.array([[0, 2], [1, -1]], "int32")
KNOWN = (PLACES >= 0).astype("float32")


def test_it_is_the_mean_over_known_places() -> None:
    expected = -(np.log(0.5) + np.log(0.1) + np.log(1e-6)) / 3
    np.testing.assert_allclose(GuidedAlignment()(PLACES, ATTENTION, sample_weight=KNOWN), expected, rtol=1e-4)


def test_its_gradient_is_at_known_places_alone() -> None:
    attention = tf.Variable(ATTENTION)
    with tf.GradientTape() as tape:
        loss = GuidedAlignment()(PLACES, tf.identity(attention), sample_weight=KNOWN)
    found = tf.convert_to_tensor(tape.gradient(loss, attention)).numpy()
    assert (found != 0).tolist() == [[[True, False, False], [False, False, True]], [[False, True, False], [False] * 3]]
    np.testing.assert_allclose(found[0, 0, 0], -1 / 0.5 / 3, rtol=1e-4)


def test_a_batch_without_known_places_costs_nothing() -> None:
    assert float(GuidedAlignment()(PLACES, ATTENTION, sample_weight=np.zeros_like(KNOWN))) == 0


def test_it_survives_being_saved() -> None:
    loss = keras.losses.deserialize(keras.losses.serialize(GuidedAlignment()))
    assert isinstance(loss, GuidedAlignment)
