"""Sampling over look-up tables, with uniform numbers of our own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding import LengthPenalty, Sampling, Scorer

WEIGHTS = np.array([0.05, 0.15, 0.1, 0.5, 0.2])  # of tokens 0 to 4; from the most to the least likely 3 4 1 2 0
ORDER = [3, 4, 1, 2, 0]


@pytest.fixture
def one_step(history_tables: Callable, eager: Callable) -> Callable:
    """The first token for each uniform number."""
    tables = history_tables({(): WEIGHTS})

    def draw(numbers: Any, **options: Any) -> list[int]:
        uniforms = np.repeat(np.asarray(numbers, "float32")[None, :, None], 2, axis=2)  # (1, N, 2)
        strategy = Sampling(len(numbers), Scorer(LengthPenalty(0.0)), uniforms=uniforms, **options)
        return [text[0] if text else 2 for text in eager(strategy, tables, 1).texts()]

    return draw


def expected(numbers: Any, weights: np.ndarray) -> list[int]:
    sums = np.cumsum(weights[ORDER] / weights.sum())
    return [ORDER[int(np.searchsorted(sums, u, side="right"))] for u in numbers]


NUMBERS = [0.0, 0.1, 0.49, 0.51, 0.69, 0.71, 0.84, 0.86, 0.94, 0.96, 0.9999]
CUTS = [
    pytest.param({}, WEIGHTS, id="all"),
    pytest.param({"temperature": 0.5}, WEIGHTS**2, id="temperature"),
    pytest.param({"top_k": 2}, WEIGHTS * [0, 0, 0, 1, 1], id="top-k"),
    pytest.param({"top_k": 99}, WEIGHTS, id="top-k of more than there are"),
    pytest.param({"top_p": 0.6}, WEIGHTS * [0, 0, 0, 1, 1], id="top-p"),
    pytest.param({"top_p": 0.49}, WEIGHTS * [0, 0, 0, 1, 0], id="top-p of less than the best"),
    pytest.param({"min_p": 0.25}, WEIGHTS * [0, 1, 0, 1, 1], id="min-p"),
    pytest.param({"min_p": 0.15, "top_k": 3}, WEIGHTS * [0, 1, 0, 1, 1], id="min-p and top-k"),
    pytest.param({"top_k": 3, "top_p": 0.8}, WEIGHTS * [0, 0, 0, 1, 1], id="top-p of what top-k leaves"),
]


@pytest.mark.parametrize(("options", "weights"), CUTS)
def test_the_number_chooses_the_token(one_step: Callable, options: dict, weights: np.ndarray) -> None:
    drawn = one_step(NUMBERS, **options)
    assert sorted(drawn) == sorted(expected(NUMBERS, weights))
    for number in NUMBERS:
        assert one_step([number], **options) == expected([number], weights)


def test_frequencies_are_probabilities(one_step: Callable) -> None:
    numbers = np.random.default_rng(1).uniform(size=20_000)
    drawn = np.bincount(one_step(numbers), minlength=5) / len(numbers)
    np.testing.assert_allclose(drawn, WEIGHTS, atol=0.01)


def test_samples_are_sorted_and_scored_by_the_model(eager: Callable, token_tables: Callable) -> None:
    rng = np.random.default_rng(2)
    tables = token_tables(rng.normal(size=(3, 5, 5)))
    strategy = Sampling(6, temperature=0.3, top_k=4, uniforms=rng.uniform(size=(3, 6, 9)).astype("float32"))
    found = eager(strategy, tables, [8, 3, 0])
    log_p = tables.scores - np.log(np.exp(tables.scores).sum(axis=-1, keepdims=True))
    assert (np.diff(found.scores, axis=1) <= 0).all()
    for i in range(3):
        assert len(found.texts(i)) == 6
        for n, text in enumerate(found.texts(i)):
            scores = [log_p[i, before, after] for before, after in zip([1, *text], [*text, 2], strict=True)]
            assert found.scores[i, n] == pytest.approx(np.mean(scores), abs=1e-5)
            np.testing.assert_allclose(found.token_scores[i, n, : len(scores)], scores, atol=1e-5)
            assert not found.token_scores[i, n, len(scores) :].any()


def test_a_sentence_does_not_depend_on_its_batch_mates(eager: Callable, token_tables: Callable) -> None:
    rng = np.random.default_rng(3)
    tables, numbers = token_tables(rng.normal(size=(5, 5, 5))), rng.uniform(size=(5, 4, 8)).astype("float32")
    limits = np.array([7, 0, 3, 5, 7])
    together = eager(Sampling(4, uniforms=numbers), tables, limits)
    for i in range(5):
        alone = eager(Sampling(4, uniforms=numbers[i : i + 1]), tables[i : i + 1], limits[i : i + 1])
        assert alone.texts() == together.texts(i)
