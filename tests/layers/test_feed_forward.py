"""The position-wise part."""

import numpy as np

from keras_s2s.layers import FeedForward

X = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")


def test_equals_numpy() -> None:
    layer = FeedForward(4, 9, dropout=0.5)
    layer(X)
    rng = np.random.default_rng(2)
    w1, b1, w2, b2 = [rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()]
    layer.set_weights([w1, b1, w2, b2])
    np.testing.assert_allclose(layer(X), np.maximum(X @ w1 + b1, 0) @ w2 + b2, atol=1e-5)


def test_dropout_acts_in_training_alone() -> None:
    layer = FeedForward(4, 9, dropout=0.5)
    assert np.array_equal(layer(X, training=False), layer(X))
    assert not np.array_equal(layer(X, training=True), layer(X))
