"""The loop around the search, over real models, compiled and not."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import BeamSearch, Greedy, LengthPenalty, Scorer, generate, length_limit, make_program
from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

SOURCE_IDS = np.array([[4, 5, 6, 7, 2, 0], [4, 4, 2, 0, 0, 0], [2, 0, 0, 0, 0, 0], [8, 7, 5, 4, 6, 2]], "int32")
SOURCE = {"source_ids": tf.constant(SOURCE_IDS)}
PARTS: dict[str, tuple[Any, Any]] = {
    "lstm": (LSTMEncoderConfig(), LSTMDecoderConfig()),
    "transformer": (
        TransformerEncoderConfig(layers=1, heads=2, feed_forward=16),
        TransformerDecoderConfig(layers=1, heads=2, feed_forward=16),
    ),
}


@pytest.fixture(scope="module", params=PARTS)
def model(request: Any) -> Any:
    """New weights, large enough that its results have several lengths."""
    encoder, decoder = PARTS[request.param]
    model = build(ModelConfig(source_vocabulary=9, target_vocabulary=9, width=8, encoder=encoder, decoder=decoder))
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(scale=0.8, size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def beam(model: Any) -> Any:
    return make_program(model, "beam")


def options(factor: float, extra: int, penalty: LengthPenalty) -> tuple[Any, ...]:
    floats = np.float32(penalty.exponent), np.float32(penalty.base), np.float32(0)
    return SOURCE_IDS, np.float32(factor), np.int32(extra), *floats


def sizes(size: int, n_best: int) -> tuple[Any, ...]:
    return np.int32(size), np.int32(n_best), np.float32(1), np.bool_(False)


@pytest.mark.parametrize(
    ("factor", "extra", "expected"),
    [(1.0, 0, [5, 3, 1, 6]), (1.5, 2, [9, 6, 3, 11]), (0.0, 4, [4, 4, 4, 4]), (1.0, -3, [2, 0, 0, 3])],
)
def test_length_limit_counts_real_tokens(factor: float, extra: int, expected: list[int]) -> None:
    assert length_limit(SOURCE, factor, extra).numpy().tolist() == expected


def test_the_greedy_program_equals_the_eager_search(model: Any) -> None:
    penalty = LengthPenalty(0.6, 5.0)
    traced = make_program(model, "greedy")(*options(1.0, 1, penalty), np.bool_(True))
    expected = generate(model, Greedy(scorer=Scorer(penalty)), SOURCE, length_limit(SOURCE, 1.0, 1))
    assert traced["tokens"].numpy().tolist() == expected.tokens.numpy().tolist()
    assert traced["lengths"].numpy().tolist() == expected.lengths.numpy().tolist()
    np.testing.assert_allclose(traced["scores"], expected.scores, atol=1e-5)


@pytest.mark.parametrize(("size", "n_best"), [(1, 1), (3, 2), (12, 12)])
def test_the_beam_program_with_tensors_equals_the_eager_search(model: Any, beam: Any, size: int, n_best: int) -> None:
    penalty = LengthPenalty(1.0, 0.0)
    traced = beam(*options(1.0, 1, penalty), *sizes(size, n_best))
    strategy = BeamSearch(size, n_best, Scorer(penalty))
    expected = generate(model, strategy, SOURCE, length_limit(SOURCE, 1.0, 1))
    assert traced["tokens"].numpy().tolist() == expected.tokens.numpy().tolist()
    assert traced["lengths"].numpy().tolist() == expected.lengths.numpy().tolist()
    np.testing.assert_allclose(traced["scores"], expected.scores, atol=1e-5)


def test_a_score_is_that_of_its_tokens_under_teacher_forcing(model: Any, beam: Any) -> None:
    found = beam(*options(1.0, 1, LengthPenalty()), *sizes(4, 4))
    scores = found["scores"].numpy()
    assert (np.diff(scores, axis=1) <= 0).all()
    for i, n in zip(*np.nonzero(scores > -np.inf), strict=True):
        tokens = found["tokens"].numpy()[i, n, : found["lengths"].numpy()[i, n]]
        target_ids = np.array([[1, *tokens]])
        logits = model({"source_ids": SOURCE_IDS[i : i + 1], "target_ids": target_ids})
        log_p = tf.nn.log_softmax(logits).numpy()[0]
        expected = np.mean([log_p[t, token] for t, token in enumerate([*tokens, 2])])
        np.testing.assert_allclose(scores[i, n], expected, atol=1e-5)
        token_scores = found["token_scores"].numpy()[i, n]
        np.testing.assert_allclose(
            token_scores[: len(tokens) + 1], [log_p[t, v] for t, v in enumerate([*tokens, 2])], atol=1e-5
        )
