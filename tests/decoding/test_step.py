"""Rows of a state, and the step of a model."""

import numpy as np

from keras_s2s.decoding import as_step
from keras_s2s.decoding.step import repeat_rows, select_rows
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build

STATE = {
    "memory": {"values": np.array([[1.0], [2.0]])},
    "rows": {"position": np.array([5, 6]), "cache": np.array([[[0, 1]], [[2, 3]]])},
}


def test_repeated_rows_of_a_sentence_stand_together_and_memory_stays() -> None:
    state = repeat_rows(STATE, 2, 3)
    assert np.asarray(state["rows"]["position"]).tolist() == [5, 5, 5, 6, 6, 6]
    assert np.asarray(state["rows"]["cache"]).tolist() == [[[0, 1]]] * 3 + [[[2, 3]]] * 3
    assert state["memory"] is STATE["memory"]


def test_selected_rows_may_repeat_and_memory_stays() -> None:
    state = select_rows(STATE, np.array([1, 1, 0]))
    assert np.asarray(state["rows"]["position"]).tolist() == [6, 6, 5]
    assert np.asarray(state["rows"]["cache"]).tolist() == [[[2, 3]], [[2, 3]], [[0, 1]]]
    assert state["memory"] is STATE["memory"]
    assert STATE["rows"]["position"].tolist() == [5, 6]


def test_the_step_of_a_model_gives_its_log_probabilities() -> None:
    config = ModelConfig(
        source_vocabulary=7,
        target_vocabulary=9,
        width=8,
        encoder=LSTMEncoderConfig(),
        decoder=LSTMDecoderConfig(),
    )
    model = build(config)
    source_ids, target_ids = np.array([[4, 5, 2], [6, 2, 0]]), np.array([[1], [1]])
    step = as_step(model)
    output, state = step(target_ids, step.start({"source_ids": source_ids}))
    logits = np.asarray(model({"source_ids": source_ids, "target_ids": target_ids}))[:, 0]
    probabilities = np.exp(np.asarray(output.log_probabilities()))[:, 0]
    np.testing.assert_allclose(np.asarray(output.scores)[:, 0], logits, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.asarray(state["rows"]["position"]).tolist() == [1, 1]
