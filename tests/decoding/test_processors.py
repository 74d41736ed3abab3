"""Processors on random scores and histories, against plain Python; and in searches."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import (
    BeamSearch,
    EndIfNothingElse,
    ForcedPrefix,
    Greedy,
    MinimumLength,
    NoPadding,
    NoRepeatNGram,
    NoUnknown,
    RepetitionPenalty,
    Search,
    Suppress,
)
from keras_s2s.decoding.search import NextScores

V = 7
RNG = np.random.default_rng(5)
BANNED = -np.inf


def searching(tokens: np.ndarray, sentences: int = 2) -> Search:
    """A search of R = 4 rows that has written `tokens` (R, T), BOS first."""
    length = np.full((sentences,), tokens.shape[1] - 1, "int32")
    history = {"tokens": tf.constant(tokens, tf.int32)}
    return Search(None, {}, np.arange(sentences), length + 9, tf.constant(length), length > 99, history, {})


def model_scores(scores: np.ndarray) -> NextScores:
    return NextScores(tf.constant(scores), tf.reduce_logsumexp(scores, axis=1), tf.constant(scores[:, 2]))


def apply(processor: Any, scores: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Traced with unknown sizes, as in a graph."""

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, V), tf.float32),
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None,), tf.int32),
        ]
    )
    def traced(scores: Any, tokens: Any, length: Any) -> Any:
        search = searching(np.zeros((4, 1)))._replace(history={"tokens": tokens}, length=length)
        model = NextScores(scores, tf.reduce_logsumexp(scores, axis=1), scores[:, 2])
        return processor(scores, model, search)

    found = traced(scores, tokens, np.full((2,), tokens.shape[1] - 1, "int32")).numpy()
    eager = np.asarray(processor(tf.constant(scores), model_scores(scores), searching(tokens)))
    np.testing.assert_array_equal(found, eager)
    return found


def banned(found: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(row == BANNED).tolist()) for row in found]


def random_case(length: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = RNG.integers(3, 6, size=(4, length + 1)).astype("int32")
    tokens[:, 0] = 1
    return RNG.normal(size=(4, V)).astype("float32"), tokens


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 4, 9, 15])
def test_no_ngram_is_repeated(n: int, length: int) -> None:
    scores, tokens = random_case(length)
    found = banned(apply(NoRepeatNGram(n), scores, tokens))
    for row, forbidden in zip(tokens[:, 1:].tolist(), found, strict=True):
        there = {tuple(row[i : i + n]) for i in range(len(row) - n + 1)} if n else set()
        expected = {v for v in range(V) if n and len(row) >= n - 1 and tuple([*row[len(row) - n + 1 :], v]) in there}
        assert forbidden - {0} == expected


def ends_with(row: Sequence[int], start: Sequence[int]) -> bool:
    return not start or (len(row) >= len(start) and list(row[-len(start) :]) == list(start))


@pytest.mark.parametrize("length", [0, 1, 3, 8])
def test_sequences_are_suppressed(length: int) -> None:
    sequences = [[4], [3, 5], [4, 4, 6], [5, 3, 3, 2]]
    padded = np.array([[0] * (4 - len(s)) + s for s in sequences], "int32")
    scores, tokens = random_case(length)
    found = banned(apply(Suppress(tf.constant(padded)), scores, tokens))
    for row, forbidden in zip(tokens[:, 1:].tolist(), found, strict=True):
        assert forbidden - {0} == {s[-1] for s in sequences if ends_with(row, s[:-1])}


def test_a_row_of_padding_suppresses_nothing_but_padding() -> None:
    scores, tokens = random_case(3)
    assert banned(apply(Suppress(tf.zeros((1, 1), tf.int32)), scores, tokens)) == [{0}] * 4


@pytest.mark.parametrize("factor", [1.0, 1.3, 0.5])
def test_a_repetition_costs_its_factor(factor: float) -> None:
    scores, tokens = random_case(4)
    found = apply(RepetitionPenalty(factor), scores, tokens)
    log_normalizer = np.log(np.exp(scores).sum(axis=1))
    for row in range(4):
        for v in range(V):
            expected = scores[row, v] - log_normalizer[row]
            expected *= factor if v in tokens[row] else 1.0
            assert found[row, v] - log_normalizer[row] == pytest.approx(expected, abs=1e-5)


def test_a_repetition_that_costs_nothing_changes_no_bit() -> None:
    scores, tokens = random_case(4)
    scores[:, 1] = BANNED  # BOS, which every row begins with
    np.testing.assert_array_equal(apply(RepetitionPenalty(1.0), scores, tokens), scores)


@pytest.mark.parametrize("length", [0, 1, 3, 8])
@pytest.mark.parametrize(
    "processor",
    [
        RepetitionPenalty(1.3),
        Suppress(np.array([[0, 0, 4], [0, 3, 5], [1, 4, 5]], "int32")),
        *(NoRepeatNGram(n) for n in (1, 2, 3, 5)),
    ],
    ids=str,
)
def test_a_history_that_is_padded_in_front_says_the_same(processor: Any, length: int) -> None:
    """So it is with a row that began later than others of its batch."""
    scores, tokens = random_case(length)
    padded = np.pad(tokens, ((0, 0), (6, 0)), constant_values=1)
    found, expected = (apply(processor, scores, written) for written in (padded, tokens))
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], atol=1e-6)


@pytest.mark.parametrize(("minimum", "expected"), [(0, set()), (3, set()), (4, {2}), (9, {2})])
def test_eos_waits_for_the_minimum_length(minimum: int, expected: set[int]) -> None:
    scores, tokens = random_case(3)
    assert banned(apply(MinimumLength(minimum), scores, tokens)) == [expected] * 4


def test_padding_and_bos_are_never_written() -> None:
    scores, tokens = random_case(2)
    assert banned(apply(NoPadding(), scores, tokens)) == [{0, 1}] * 4


@pytest.mark.parametrize(("allowed", "expected"), [(False, {3}), (True, set())])
def test_unknown_is_never_written(allowed: bool, expected: set[int]) -> None:
    scores, tokens = random_case(2)
    assert banned(apply(NoUnknown(allowed), scores, tokens)) == [expected] * 4


def test_where_nothing_is_allowed_the_hypothesis_ends() -> None:
    scores, tokens = random_case(2)
    all_banned = np.full_like(scores, BANNED)
    all_banned[:, 0] = 1.0  # Padding and BOS are no tokens.
    all_banned[2, 5] = 0.5
    found = np.asarray(EndIfNothingElse()(tf.constant(all_banned), model_scores(scores), searching(tokens)))
    assert banned(found[:, 2:]) == [{1, 2, 3, 4}, {1, 2, 3, 4}, {0, 1, 2, 4}, {1, 2, 3, 4}]
    np.testing.assert_allclose(found[[0, 1, 3], 2], scores[[0, 1, 3], 2])


def test_a_prefix_is_forced_against_other_processors() -> None:
    scores, tokens = random_case(1)
    prefix = np.array([[4, 5, 0], [3, 0, 0]], "int32")
    forbidden = np.full_like(scores, BANNED)
    found = np.asarray(
        ForcedPrefix(tf.constant(prefix))(tf.constant(forbidden), model_scores(scores), searching(tokens))
    )
    assert banned(found[:2]) == [set(range(V)) - {5}] * 2
    np.testing.assert_allclose(found[:2, 5], scores[:2, 5])
    assert banned(found[2:]) == [set(range(V))] * 2


def test_after_the_prefix_scores_are_free() -> None:
    scores, tokens = random_case(3)
    prefix = np.array([[4, 5, 0], [3, 4, 5]], "int32")
    np.testing.assert_array_equal(apply(ForcedPrefix(tf.constant(prefix)), scores, tokens), scores)


def test_bos_in_a_prefix_is_what_begins_a_word_and_is_not_forbidden() -> None:
    scores, tokens = random_case(1)
    prefix = np.array([[4, 1, 0], [3, 1, 0]], "int32")
    some = scores.copy()
    some[0, 5], some[1, [3, 5]] = BANNED, BANNED
    begins = np.isin(np.arange(V), [3, 5])
    processor = ForcedPrefix(tf.constant(prefix), tf.constant(begins))
    found = np.asarray(processor(tf.constant(some), model_scores(scores), searching(tokens)))
    # Of the first row one of the two is forbidden; of the second both, so neither is.
    assert banned(found[:2]) == [set(range(V)) - {3}, set(range(V)) - {3, 5}]
    np.testing.assert_allclose(found[0, 3], scores[0, 3])
    np.testing.assert_allclose(found[1, [3, 5]], scores[1, [3, 5]])


@pytest.fixture
def tables(token_tables: Callable) -> Any:
    return token_tables(np.random.default_rng(7).normal(scale=2, size=(12, 5, 5)))


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3, 3)])
def test_every_hypothesis_begins_with_its_prefix(eager: Callable, tables: Any, strategy: Any) -> None:
    prefix = np.array([[3, 4, 0], [4, 4, 4], [0, 0, 0]] * 4, "int32")
    found = eager(strategy, tables, 6, [ForcedPrefix(tf.constant(prefix))])
    free = eager(strategy, tables, 6)
    for i in range(12):
        wanted = [v for v in prefix[i].tolist() if v]
        assert found.texts(i)
        assert all(list(text[: len(wanted)]) == wanted for text in found.texts(i))
        if not wanted:
            assert found.texts(i) == free.texts(i)


def test_scores_under_a_prefix_are_the_models_own(eager: Callable, tables: Any) -> None:
    prefix = np.array([[4, 3]] * 12, "int32")
    found = eager(BeamSearch(2, 2), tables, 5, [ForcedPrefix(tf.constant(prefix))])
    log_p = np.asarray(tf.nn.log_softmax(tables.scores))
    for i in range(12):
        for n, text in enumerate(found.texts(i)):
            steps = list(zip([1, *text], [*text, 2], strict=True))
            expected = [log_p[i, before, after] for before, after in steps]
            np.testing.assert_allclose(found.token_scores[i, n, : len(steps)], expected, atol=1e-5)
            assert found.scores[i, n] == pytest.approx(np.mean(expected), abs=1e-5)


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(4, 4)])
def test_the_limit_wins_over_the_minimum(eager: Callable, tables: Any, strategy: Any) -> None:
    found = eager(strategy, tables, 3, [MinimumLength(9)])
    assert all(len(text) == 3 for i in range(12) for text in found.texts(i))
    assert all(found.texts(i) for i in range(12))


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(4, 4)])
def test_a_minimum_length_holds(eager: Callable, tables: Any, strategy: Any) -> None:
    found = eager(strategy, tables, 8, [MinimumLength(4)])
    lengths = {len(text) for i in range(12) for text in found.texts(i)}
    assert min(lengths) == 4
    assert len(lengths) > 1
