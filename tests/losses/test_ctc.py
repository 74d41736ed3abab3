"""The CTC loss: what is divided by what."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.dynamic.ctc import log_probability
from keras_s2s.losses import CTC

RNG = np.random.default_rng(2)
LOGITS = RNG.normal(scale=2, size=(4, 7, 6)).astype("float32")
LABELS = np.array([[4, 3, 4, 2], [4, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]], "int32")
WEIGHTS = (LABELS > 0).astype("float32")


def test_value_is_that_of_the_sentences_divided_by_their_labels() -> None:
    got = CTC()(LABELS, LOGITS, sample_weight=WEIGHTS)
    assert float(got) == pytest.approx(-np.sum(log_probability(LOGITS[:3], LABELS[:3])) / 7, rel=1e-5)


def test_a_sentence_is_spread_evenly_over_its_labels() -> None:
    got = CTC().call(LABELS, LOGITS)
    sentences = -log_probability(LOGITS, LABELS).numpy()
    expected = np.stack([np.repeat(sentences[b] / max(1, n), 4) for b, n in enumerate([4, 2, 1, 0])]) * WEIGHTS
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_padding_of_labels_and_of_frames_changes_nothing() -> None:
    silence = np.full((4, 2, 6), -1e9, "float32")
    silence[:, :, -1] = 0
    labels, logits = np.pad(LABELS, ((0, 0), (0, 3))), np.concatenate([LOGITS, silence], axis=1)
    got = CTC()(labels, logits, sample_weight=labels > 0)
    assert float(got) == pytest.approx(float(CTC()(LABELS, LOGITS, sample_weight=WEIGHTS)), rel=1e-6)


def test_pairs_that_do_not_fit_teach_nothing_and_others_as_before() -> None:
    labels = np.array([[3, 3, 3, 3, 2], [3, 4, 2, 0, 0]], "int32")
    logits = tf.Variable(LOGITS[:2, :5])
    with tf.GradientTape() as tape:
        loss = CTC()(labels, logits, sample_weight=labels > 0)
    gradient = tape.gradient(loss, logits).numpy()
    assert float(loss) > 1e7
    assert not gradient[0].any()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[1]).max() > 0.01


def test_a_model_learns_with_it() -> None:
    """Each source id is two frames; the labels are the ids without the repeated ones."""
    keras.utils.set_random_seed(1)
    source = RNG.integers(3, 7, size=(256, 5)).astype("int32")
    labels = np.pad(source, ((0, 0), (0, 1)), constant_values=2)
    inputs = keras.Input((5,), dtype="int32")
    hidden = keras.layers.Dense(2 * 8)(keras.layers.Embedding(7, 16)(inputs))
    model = keras.Model(inputs, keras.layers.Reshape((10, 8))(hidden))
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=CTC())
    history = model.fit(source, labels, sample_weight=np.ones_like(labels), epochs=10, verbose=0).history["loss"]
    assert history[-1] < 0.1 < history[0]


def test_it_survives_being_saved() -> None:
    loss = keras.losses.deserialize(keras.losses.serialize(CTC()))
    assert isinstance(loss, CTC)
    assert float(loss(LABELS, LOGITS, sample_weight=WEIGHTS)) == float(CTC()(LABELS, LOGITS, sample_weight=WEIGHTS))
