"""The CRF loss: what is divided by what, and labels that are shorter or longer than the source by padding."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.losses import CRF

RNG = np.random.default_rng(4)
LENGTHS = [4, 2, 1]
POTENTIALS = RNG.normal(scale=2, size=(3, 4, 5, 5)).astype("float32")
for b, length in enumerate(LENGTHS):
    POTENTIALS[b, length:] = np.where(np.eye(5) > 0, 0, -1e9)
LABELS = np.array([[4, 3, 4, 2], [4, 2, 0, 0], [2, 0, 0, 0]], "int32")
WEIGHTS = (LABELS > 0).astype("float32")


def slow_losses() -> np.ndarray:
    """-log p of each sentence, by every labelling."""
    losses = []
    for potentials, labels, length in zip(POTENTIALS.astype("float64"), LABELS, LENGTHS, strict=True):

        def score(path: tuple[int, ...], potentials: np.ndarray = potentials) -> float:
            return sum(potentials[s, i, j] for s, (i, j) in enumerate(itertools.pairwise((1, *path))))

        every = [score(path) for path in itertools.product(range(5), repeat=length)]
        losses.append(np.logaddexp.reduce(every) - score(tuple(labels[:length])))
    return np.array(losses)


def test_value_is_that_of_the_sentences_divided_by_their_labels() -> None:
    got = CRF()(LABELS, POTENTIALS, sample_weight=WEIGHTS)
    assert float(got) == pytest.approx(slow_losses().sum() / 7, rel=1e-5)


def test_a_sentence_is_spread_evenly_over_its_labels() -> None:
    expected = (slow_losses() / LENGTHS)[:, None] * WEIGHTS
    np.testing.assert_allclose(CRF().call(LABELS, POTENTIALS), expected, rtol=1e-5, atol=1e-6)


def test_sources_and_labels_may_be_padded_differently() -> None:
    expected = pytest.approx(float(CRF()(LABELS, POTENTIALS, sample_weight=WEIGHTS)), rel=1e-6)
    longer = np.pad(LABELS, ((0, 0), (0, 3)))
    assert float(CRF()(longer, POTENTIALS, sample_weight=longer > 0)) == expected
    stays = np.tile(np.where(np.eye(5) > 0, 0, -1e9).astype("float32"), (3, 2, 1, 1))
    more = np.concatenate([POTENTIALS, stays], axis=1)
    assert float(CRF()(LABELS, more, sample_weight=WEIGHTS)) == expected


def test_gradient_lowers_the_loss_and_spares_other_sentences() -> None:
    potentials = tf.Variable(POTENTIALS)
    weights = WEIGHTS * [[1], [0], [1]]
    with tf.GradientTape() as tape:
        loss = CRF()(LABELS, potentials, sample_weight=weights)
    gradient = tape.gradient(loss, potentials).numpy()
    assert not gradient[1].any()
    after = CRF()(LABELS, POTENTIALS - 0.1 * gradient, sample_weight=weights)
    expected = float(loss) - 0.1 * float(np.sum(gradient**2))
    assert float(after) == pytest.approx(expected, abs=0.1 * float(loss) * 0.1)
    assert float(after) < float(loss)


def test_it_survives_being_saved() -> None:
    loss = keras.losses.deserialize(keras.losses.serialize(CRF()))
    assert isinstance(loss, CRF)
    assert float(loss(LABELS, POTENTIALS, sample_weight=WEIGHTS)) == float(
        CRF()(LABELS, POTENTIALS, sample_weight=WEIGHTS)
    )
