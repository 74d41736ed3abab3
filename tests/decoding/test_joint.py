"""CTC and attention together: what a hypothesis scores is what both say of it."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import make_program, token_scores
from keras_s2s.dynamic import ctc
from keras_s2s.models import CTCHeadConfig, GRUDecoderConfig, LSTMEncoderConfig, ModelConfig, build

V = 8
SOURCE = {"source_ids": np.array([[4, 5, 6, 7, 2, 0], [6, 4, 2, 0, 0, 0], [2, 0, 0, 0, 0, 0]], "int32")}


@pytest.fixture(scope="module")
def model() -> Any:
    config = ModelConfig(
        source_vocabulary=V,
        target_vocabulary=V,
        width=8,
        encoder=LSTMEncoderConfig(),
        decoder=GRUDecoderConfig(),
        ctc=CTCHeadConfig(upsampling=2),
    )
    keras.utils.set_random_seed(1)
    model = build(config)
    rng = np.random.default_rng(5)
    model.set_weights([w + rng.normal(scale=0.6, size=w.shape) for w in model.get_weights()])
    model.head.bias.assign(np.where(np.arange(V) < 2, -30, model.head.bias))
    model.ctc.set_weights(
        [np.where(np.arange(w.shape[-1]) % (V + 1) < 2, -30, w) if w.ndim == 1 else w for w in model.ctc.get_weights()]
    )
    return model


@pytest.fixture(scope="module")
def decode(model: Any) -> Any:
    program = make_program(model, "beam", ["joint"])
    options = {
        **SOURCE,
        "max_length_factor": 1.0,
        "max_length_extra": 1,
        "length_penalty": 0.0,
        "length_penalty_base": 0.0,
        "word_reward": 0.0,
        "beam_size": 9,
        "n_best": 4,
        "patience": 1.0,
        "exhaustive": True,
    }

    def run(weight: float) -> list[list[tuple[list[int], float]]]:
        given = {**options, "ctc_weight": weight}
        found = program(*(tf.constant(given[spec.name], spec.dtype) for spec in program.input_signature))
        tokens, lengths, scores = (found[name].numpy() for name in ("tokens", "lengths", "scores"))
        return [
            [(tokens[b, n, : lengths[b, n]].tolist(), float(scores[b, n])) for n in range(4) if scores[b, n] > -1e8]
            for b in range(3)
        ]

    return run


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_score_is_the_weighted_sum_of_both(model: Any, decode: Any, weight: float) -> None:
    checked = 0
    for sentence, hypotheses in enumerate(decode(weight)):
        source = {"source_ids": SOURCE["source_ids"][sentence : sentence + 1]}
        logits = model.ctc(model.encoder(source))
        for text, score in hypotheses:
            target = np.array([[*text, 2]], "int32")
            by_ctc = float(ctc.log_probability(logits, target)[0])
            by_attention = float(np.sum(token_scores(model, source, target)))
            assert score == pytest.approx((1 - weight) * by_attention + weight * by_ctc, abs=1e-3)
            checked += 1
    assert checked >= 6


def test_with_ctc_alone_it_is_prefix_search(model: Any, decode: Any) -> None:
    program = make_program(model, "ctc_beam")
    found = program(SOURCE["source_ids"], np.int32(40), np.int32(1))
    for sentence, hypotheses in enumerate(decode(1.0)):
        length = int(found["lengths"][sentence, 0])
        limit = int((SOURCE["source_ids"][sentence] > 0).sum()) + 1
        if length <= limit:
            assert hypotheses[0][0] == found["tokens"][sentence, 0, :length].numpy().tolist()
            assert hypotheses[0][1] == pytest.approx(float(found["scores"][sentence, 0]), abs=1e-3)
