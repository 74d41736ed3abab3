"""Greedy search over look-up tables with known answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import Greedy, LengthPenalty, Scorer

# The best first token, 3, leads to worse things than the second, 4.
TEMPTING = {
    (): [0, 0, 0, 0.6, 0.4],
    (3,): [0.3, 0, 0.35, 0.15, 0.2],
    (4,): [0.02, 0.02, 0.9, 0.03, 0.03],
}


def test_takes_the_best_token_of_each_step(greedy: Callable, history_tables: Callable) -> None:
    found = greedy(history_tables(TEMPTING), limit=5)
    assert found.texts() == [(3,)]
    np.testing.assert_allclose(found.scores, [[np.log(0.6 * 0.35) / 2]], rtol=1e-5)


def test_shapes_and_types(greedy: Callable, history_tables: Callable) -> None:
    found = greedy(history_tables({(): [0, 0, 0, 0, 1]}, {(): [0, 0, 1, 0, 0]}), limit=5)
    assert found.tokens.tolist() == [[[4, 0]], [[0, 0]]]
    assert found.lengths.tolist() == [[1], [0]]
    assert (found.tokens.dtype, found.lengths.dtype, found.scores.dtype) == ("int32", "int32", "float32")


def test_the_penalty_changes_the_score_alone(greedy: Callable, history_tables: Callable) -> None:
    found = greedy(history_tables(TEMPTING), 5, LengthPenalty(exponent=0.6, base=5.0))
    assert found.texts() == [(3,)]
    np.testing.assert_allclose(found.scores, [[np.log(0.6 * 0.35) / (7 / 6) ** 0.6]], rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1, 1, 1, 1, 1], [(0,)]), ([1, 2, 2, 2, 1], [(1,)]), ([1, 1, 2, 2, 2], [()]), ([0, 0, 0, 1, 1], [(3,)])],
)
def test_of_equals_the_lower_id_is_taken(
    greedy: Callable, history_tables: Callable, weights: list[int], expected: list[tuple[int, ...]]
) -> None:
    assert greedy(history_tables({(): weights}), limit=1).texts() == expected


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_at_the_limit_eos_follows_with_its_own_log_probability(
    greedy: Callable, token_tables: Callable, limit: int
) -> None:
    for_ever = np.log([[[0.1, 0.1, 0.05, 0.7, 0.05]] * 5])
    found = greedy(token_tables(for_ever), limit)
    assert found.texts() == [(3,) * limit]
    expected = (limit * np.log(0.7) + np.log(0.05)) / (limit + 1)
    np.testing.assert_allclose(found.scores, [[expected]], rtol=1e-5)


def test_each_sentence_has_its_own_limit(greedy: Callable, token_tables: Callable) -> None:
    for_ever = np.log([[[0.1, 0.1, 0.05, 0.7, 0.05]] * 5] * 4)
    found = greedy(token_tables(for_ever), [2, 0, 3, 1])
    assert [found.texts(i) for i in range(4)] == [[(3, 3)], [()], [(3, 3, 3)], [(3,)]]
    assert found.tokens[:, 0].tolist() == [[3, 3, 0, 0], [0, 0, 0, 0], [3, 3, 3, 0], [3, 0, 0, 0]]


def test_a_sentence_does_not_depend_on_its_batch_mates(greedy: Callable, token_tables: Callable) -> None:
    rng = np.random.default_rng(1)
    tables = token_tables(rng.normal(scale=2, size=(12, 5, 5)))
    limits = rng.integers(0, 9, size=12)
    together = greedy(tables, limits)
    for i in range(12):
        alone = greedy(tables[i : i + 1], limits[i : i + 1])
        assert alone.texts() == together.texts(i)
        assert alone.scores[0].tolist() == together.scores[i].tolist()


@pytest.mark.parametrize("kind", [bool, tf.constant])
@pytest.mark.parametrize("scores", [True, False])
def test_scores_are_computed_where_they_are_wanted(
    greedy: Callable, eager: Callable, token_tables: Callable, scores: bool, kind: Callable
) -> None:
    tables, limits = token_tables(np.random.default_rng(3).normal(scale=2, size=(5, 5, 5))), [0, 1, 4, 4, 7]
    plain, found = greedy(tables, limits), eager(Greedy(scores=kind(scores)), tables, limits)
    assert found.tokens.tolist() == plain.tokens.tolist()
    assert found.lengths.tolist() == plain.lengths.tolist()
    assert found.finished.tolist() == plain.finished.tolist()
    for name in ("scores", "token_scores"):
        expected = getattr(plain, name) if scores else np.zeros_like(getattr(plain, name))
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-5)


def test_traced_equals_eager(greedy: Callable, eager: Callable, token_tables: Callable) -> None:
    rng = np.random.default_rng(2)
    tables = token_tables(rng.normal(scale=2, size=(5, 5, 5)))
    penalty = LengthPenalty(0.6, 5.0)
    one: Any = eager(Greedy(scorer=Scorer(penalty)), tables, [0, 1, 4, 4, 7])
    other: Any = greedy(tables, [0, 1, 4, 4, 7], penalty)
    assert one.tokens.tolist() == other.tokens.tolist()
    assert one.lengths.tolist() == other.lengths.tolist()
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)
