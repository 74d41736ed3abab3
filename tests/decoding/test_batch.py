"""Sentences that are done leave: the step is not asked for them any more, and results are as if they had stayed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import (
    BeamSearch,
    DiverseBeamSearch,
    ForcedPrefix,
    Greedy,
    MinimumLength,
    NoRepeatNGram,
    Sampling,
    advance,
    finish,
    generate,
    start,
)
from keras_s2s.decoding.batch import put_results, without_done
from keras_s2s.decoding.search import Hypotheses, follow

RNG = np.random.default_rng(4)
SENTENCES = 8
LIMITS = np.array([4, 2, 3, 5, 4, 3, 2, 5], "int32")


class Counting:
    """A step that notes how many rows, and how many sentences of memory, it is called with."""

    def __init__(self, step: Any) -> None:
        self.step, self.vocabulary, self.calls = step, step.vocabulary, list[tuple[int, int]]()

    def start(self, source: Any) -> Any:
        return self.step.start(source)

    def __call__(self, ids: Any, state: Any, attention: bool = False) -> Any:
        self.calls.append((len(ids), len(state["memory"]["scores"])))
        return self.step(ids, state, attention)


@pytest.fixture
def tables(token_tables: Callable) -> Any:
    return token_tables(RNG.normal(scale=1.5, size=(SENTENCES, 5, 5)))


@pytest.mark.parametrize(
    ("strategy", "times"),
    [
        (Greedy(), 1),
        (BeamSearch(3, patience=9), 3),
        (Sampling(2, uniforms=np.zeros((5, 2, 6), "float32")), 2),
    ],
)
def test_the_step_is_not_asked_for_those_that_have_left(
    table_step: Any, history_tables: Callable, strategy: Any, times: int
) -> None:
    step, source = table_step
    # All prefer one token for ever, so that a sentence is done one step behind its limit.
    endless = {(3,) * n: [0, 0, 0.01, 1, 0] for n in range(6)}
    counting = Counting(step)
    found = generate(counting, strategy, source(history_tables(*[endless] * 5)), tf.range(1, 6))
    # They leave one by one.
    assert counting.calls == [(times * n, n) for n in (5, 5, 4, 3, 2, 1)]
    assert found.lengths[:, 0].numpy().tolist() == [1, 2, 3, 4, 5]
    assert found.tokens[:, 0].numpy().tolist() == [[3] * n + [0] * (6 - n) for n in range(1, 6)]


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize(
    "strategy",
    [
        Greedy(),
        BeamSearch(3, 2),
        DiverseBeamSearch(BeamSearch(2, 4), 3, 0.7),
        Sampling(2, uniforms=RNG.uniform(size=(SENTENCES, 2, 9)).astype("float32")),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_results_are_those_of_a_search_in_which_all_stay(
    table_step: Any, tables: Any, strategy: Any, constrained: bool
) -> None:
    step, source = table_step
    prefix = RNG.integers(3, 5, size=(SENTENCES, 2)).astype("int32")
    processors = [NoRepeatNGram(3), MinimumLength(3), ForcedPrefix(prefix)] if constrained else []
    search = start(strategy, step.start(source(tables)), tf.constant(LIMITS))
    while not np.all(search.done):
        search = advance(step, strategy, search, processors)
    expected = finish(strategy, search)
    found = generate(step, strategy, source(tables), tf.constant(LIMITS), processors)
    assert np.array_equal(found.tokens, expected.tokens)
    assert np.array_equal(found.lengths, expected.lengths)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(found.token_scores, expected.token_scores, atol=1e-6)
    assert len(set(found.lengths[:, 0].numpy().tolist())) > 2


def test_who_stays_keeps_all_that_is_its_own(table_step: Any, tables: Any) -> None:
    step, source = table_step
    strategy = BeamSearch(3)
    search = start(strategy, step.start(source(tables)), tf.constant(LIMITS))
    for _ in range(2):
        search = advance(step, strategy, search)
    search = search._replace(done=np.isin(np.arange(SENTENCES), [0, 3, 4]))
    (left, none), kept = without_done(search, []), [1, 2, 5, 6, 7]
    assert none == []
    rows = [3 * sentence + beam for sentence in kept for beam in range(3)]
    assert np.asarray(left.sentence).tolist() == kept
    assert not np.any(left.done)
    of_sentence = [(search.limit, left.limit), (search.length, left.length)]
    of_sentence += [(value, left.carry[name]) for name, value in search.carry.items()]
    of_sentence += [(value, left.state["memory"][name]) for name, value in search.state["memory"].items()]
    of_rows = [(search.ids, left.ids)]
    of_rows += [(value, left.history[name]) for name, value in search.history.items()]
    of_rows += [(value, left.state["rows"][name]) for name, value in search.state["rows"].items()]
    assert all(np.array_equal(np.asarray(whole)[kept], part) for whole, part in of_sentence)
    assert all(np.array_equal(np.asarray(whole)[rows], part) for whole, part in of_rows)
    # Of those that stay, the third and the last leave.
    again, _ = without_done(left._replace(done=np.array([False, False, True, False, True])), [])
    assert np.asarray(again.sentence).tolist() == [1, 2, 6]
    assert without_done(left._replace(done=np.ones(5, bool)), [])[0].ids.shape[0] == 0
    # A state that has not yet followed its rows does it once, for those that stay.
    parents = RNG.permutation(3 * SENTENCES).astype("int32")
    later, (of_left,) = without_done(search, [parents])
    expected = without_done(follow(search, parents), [])[0].state["rows"]
    assert all(later.state["rows"][name] is value for name, value in search.state["rows"].items())
    found = follow(later, of_left).state["rows"]
    assert all(np.array_equal(found[name], value) for name, value in expected.items())


def test_results_grow_and_are_put_in_their_places() -> None:
    before = Hypotheses(
        np.array([[[5, 6]], [[0, 0]], [[7, 0]]], "int32"),
        np.array([[2], [0], [1]], "int32"),
        np.array([[-0.5], [0.0], [-0.25]], "float32"),
        np.array([[[-1, -2]], [[0, 0]], [[-3, 0]]], "float32"),
        np.array([[True], [False], [False]]),
    )
    some = Hypotheses(
        np.array([[[8, 9, 4]]], "int32"),
        np.array([[3]], "int32"),
        np.array([[-0.125]], "float32"),
        np.array([[[-4, -5, -6]]], "float32"),
        np.array([[True]]),
    )
    after = put_results(before, some, np.array([1], "int32"))
    assert np.asarray(after.tokens).tolist() == [[[5, 6, 0]], [[8, 9, 4]], [[7, 0, 0]]]
    assert np.asarray(after.lengths).tolist() == [[2], [3], [1]]
    assert np.asarray(after.scores).tolist() == [[-0.5], [-0.125], [-0.25]]
    assert np.asarray(after.token_scores).tolist() == [[[-1, -2, 0]], [[-4, -5, -6]], [[-3, 0, 0]]]
    assert np.asarray(after.finished).tolist() == [[True], [True], [False]]
