"""A beam as wide as all hypotheses finds the true best one, whatever ranks them."""

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import BeamSearch, LengthPenalty, Scorer, StepOutput, generate

V, EOS = 6, 2
OPEN = np.array([0, 1, 3, 4, 5])
SCORERS = [
    pytest.param(Scorer(LengthPenalty(0.0)), id="none"),
    pytest.param(Scorer(LengthPenalty(1.0, 0.0)), id="average"),
    pytest.param(Scorer(LengthPenalty(0.6, 5.0)), id="GNMT"),
    pytest.param(Scorer(LengthPenalty(-0.5, 1.0)), id="one that favours short ones"),
    pytest.param(Scorer(LengthPenalty(0.0), reward=0.7), id="word reward"),
    pytest.param(Scorer(LengthPenalty(1.0, 5.0), reward=-0.3), id="GNMT and a negative reward"),
]


class HistoryStep:
    """A table with a row for each history: history h of n tokens, read as a number to base V."""

    vocabulary = V

    def start(self, source: Any) -> Any:
        zeros = tf.zeros_like(source["seed"])
        return {"memory": dict(source), "rows": {"number": zeros, "position": zeros}}

    def __call__(self, ids: Any, state: Any, attention: bool = False) -> Any:
        rows, seeds = state["rows"], state["memory"]["seed"]
        number = tf.where(rows["position"] > 0, rows["number"] * V + ids[:, 0] + 1, 0)
        per_sentence = tf.shape(ids)[0] // tf.shape(seeds)[0]
        scores = table_row(tf.gather(seeds, tf.range(tf.shape(ids)[0]) // per_sentence), number)[:, None]
        after = {"number": number, "position": rows["position"] + 1}
        return StepOutput(scores, tf.reduce_logsumexp(scores, axis=-1)), {"memory": state["memory"], "rows": after}


def table_row(seed: Any, number: Any) -> Any:
    """Scores (R, V) that look random, computed from table and history: 1,000 stored tables would have 56 million."""
    token = tf.range(V, dtype=tf.int32)[None, :]
    mixed = (seed[:, None] * 7919 + number[:, None] * 104729 + token * 15485863) % 1000003
    mixed = (mixed * 1103 + 12345) % 999983
    return 4.0 * tf.sin(tf.cast(mixed, tf.float32))


def true_best(seeds: np.ndarray, limit: int, scorer: Scorer) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """The best score and text of each table, of all 5^0 + ... + 5^limit texts."""
    count = len(seeds)
    numbers, log_p = np.zeros((1,), "int32"), np.zeros((count, 1))
    texts = np.zeros((1, 0), "int32")
    best, best_texts = np.full(count, -np.inf), [()] * count
    for made in range(limit + 1):
        flat_seeds, flat_numbers = np.repeat(seeds, len(numbers)), np.tile(numbers, count)
        scores = np.asarray(tf.nn.log_softmax(table_row(tf.constant(flat_seeds), tf.constant(flat_numbers))))
        scores = scores.reshape(count, len(numbers), V)
        ended = np.asarray(scorer(tf.constant(log_p + scores[:, :, EOS], tf.float32), made + 1))
        for i in np.flatnonzero(ended.max(axis=1) > best):
            best[i], best_texts[i] = ended[i].max(), tuple(texts[ended[i].argmax()].tolist())
        log_p = (log_p[:, :, None] + scores[:, :, OPEN]).reshape(count, -1)
        texts = np.concatenate([np.repeat(texts, 5, axis=0), np.tile(OPEN, len(texts))[:, None]], axis=1)
        numbers = (numbers[:, None] * V + OPEN[None, :] + 1).reshape(-1).astype("int32")
    return best, best_texts


@functools.cache
def search(size: int) -> Any:
    """A beam of so many, traced once for all scorers; they are its inputs."""

    def decode(seeds: Any, limit: Any, exponent: Any, base: Any, reward: Any) -> Any:
        strategy = BeamSearch(size, 1, Scorer(LengthPenalty(exponent, base), reward))
        return generate(HistoryStep(), strategy, {"seed": seeds}, limit)

    vectors, numbers = [tf.TensorSpec((None,), tf.int32)] * 2, [tf.TensorSpec((), tf.float32)] * 3
    return tf.function(decode, input_signature=[*vectors, *numbers], autograph=False)


def check(count: int, limit: int, size: int, scorer: Scorer) -> None:
    options = [np.float32(number) for number in (scorer.length.exponent, scorer.length.base, scorer.reward)]
    for first in range(0, count, 10):
        seeds = np.arange(first, first + 10, dtype="int32")
        found = search(size)(seeds, np.full((10,), limit, "int32"), *options)
        best, texts = true_best(seeds, limit, scorer)
        np.testing.assert_allclose(found.scores[:, 0], best, rtol=1e-4, atol=1e-5)
        lengths, tokens = np.asarray(found.lengths)[:, 0], np.asarray(found.tokens)[:, 0]
        different = [i for i in range(10) if tuple(tokens[i, : lengths[i]].tolist()) != texts[i]]
        assert all(abs(float(found.scores[i, 0]) - best[i]) < 1e-5 for i in different)
        assert len(different) <= 1


# 5^limit hypotheses of so many tokens can be open: EOS never is. More places, up to the V^T that the vocabulary
# suggests, stay empty.
@pytest.mark.parametrize(("count", "limit"), [(20, 5), pytest.param(1000, 6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scorer", SCORERS)
def test_a_beam_of_all_prefixes_finds_the_best(scorer: Scorer, count: int, limit: int) -> None:
    check(count, limit, 5**limit, scorer)


@pytest.mark.slow
def test_a_beam_wider_than_all_prefixes_finds_the_best() -> None:
    check(50, 6, V**6, Scorer(LengthPenalty(1.0)))
