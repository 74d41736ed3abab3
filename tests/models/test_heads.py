"""What heads say, at real places and at padding."""

import numpy as np
import pytest

from keras_s2s.layers import Embedding
from keras_s2s.models.heads import CRFHead, CTCHead, TokenHead

RNG = np.random.default_rng(1)
HIDDEN = RNG.normal(size=(2, 3, 8)).astype("float32")
ENCODED = {"encoded": HIDDEN, "mask": np.array([[1, 1, 1], [1, 0, 0]], bool)}


@pytest.mark.parametrize("tied", [False, True])
def test_columns_are_some_of_all_scores(tied: bool) -> None:
    embedding = Embedding(9, 8)
    embedding(np.array([[1]]))
    head = TokenHead(9, embedding if tied else None)
    whole = head(HIDDEN)
    head.bias.assign(RNG.normal(size=9))
    columns = np.array([0, 1, 2, 3, 7], "int32")
    assert whole.shape == (2, 3, 9)
    np.testing.assert_allclose(head(HIDDEN, columns=columns), np.asarray(head(HIDDEN))[:, :, columns], atol=1e-6)


def test_ctc_scores_labels_and_a_blank_and_is_sure_of_the_blank_at_padding() -> None:
    head = CTCHead(5, 8)
    logits = np.asarray(head(ENCODED))
    assert logits.shape == (2, 3, 6)
    expected = HIDDEN @ np.asarray(head.classes.kernel) + np.asarray(head.classes.bias)
    np.testing.assert_allclose(logits[ENCODED["mask"]], expected[ENCODED["mask"]], atol=1e-5)
    certain = np.array([-1e9] * 5 + [0], "float32")
    assert (logits[~ENCODED["mask"]] == certain).all()


def test_upsampling_makes_several_frames_of_each_output() -> None:
    head = CTCHead(5, 8, upsampling=3)
    logits = np.asarray(head(ENCODED))
    assert logits.shape == (2, 9, 6)
    assert (logits[1, 3:, 5] == 0).all() and (logits[1, :3, 0] > -1e8).all()
    # Frame 3s + i of the whole depends on output s alone, through the i-th third of the split.
    kernel = np.asarray(head.split.kernel).reshape(8, 3, 8)
    split = np.einsum("bsd,dke->bske", HIDDEN, kernel).reshape(2, 9, 8)
    expected = split @ np.asarray(head.classes.kernel)
    np.testing.assert_allclose(logits[0], expected[0], atol=1e-5)


def test_crf_adds_transitions_to_emissions_and_stays_at_padding() -> None:
    head = CRFHead(5)
    head(ENCODED)
    head.transition.assign(RNG.normal(size=(5, 5)))
    potentials = np.asarray(head(ENCODED))
    assert potentials.shape == (2, 3, 5, 5)
    emission = HIDDEN @ np.asarray(head.emission.kernel) + np.asarray(head.emission.bias)
    for b, s in np.argwhere(ENCODED["mask"]):
        np.testing.assert_allclose(potentials[b, s], emission[b, s][None, :] + np.asarray(head.transition), atol=1e-5)
    stay = np.where(np.eye(5) > 0, 0, -1e9).astype("float32")
    assert (potentials[~ENCODED["mask"]] == stay).all()
