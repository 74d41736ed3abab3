"""What a model says of given targets."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding import alignment, as_step, token_scores
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build

SOURCE = {"source_ids": np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32")}
TARGETS = np.array([[4, 5, 6, 2], [8, 2, 0, 0]], "int32")


@pytest.fixture(scope="module")
def model() -> Any:
    config = ModelConfig(
        source_vocabulary=9,
        target_vocabulary=9,
        width=8,
        encoder=LSTMEncoderConfig(),
        decoder=LSTMDecoderConfig(),
    )
    return build(config)


def test_there_is_a_distribution_for_each_token_and_for_eos(model: Any) -> None:
    attention = np.asarray(alignment(model, SOURCE, TARGETS))
    assert attention.shape == (2, 4, 4)
    np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=1e-5)
    assert not attention[1, :, 2:].any()
    # Step by step: BOS writes the first token, the last token writes EOS.
    step = as_step(model)
    state = step.start(SOURCE)
    for t, ids in enumerate([[[1], [1]], [[4], [8]], [[5], [2]], [[6], [0]]]):
        output, state = step(np.array(ids), state, attention=True)
        np.testing.assert_allclose(attention[:, t], output.attention[:, 0], atol=1e-5)


def test_token_scores_are_log_probabilities_and_0_at_padding(model: Any) -> None:
    scores = np.asarray(token_scores(model, SOURCE, TARGETS))
    ids = np.array([[1, 4, 5, 6], [1, 8, 2, 0]], "int32")
    logits = np.asarray(model({**SOURCE, "target_ids": ids}), "float64")
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = [[log_p[b, t, TARGETS[b, t]] if TARGETS[b, t] else 0.0 for t in range(4)] for b in range(2)]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
