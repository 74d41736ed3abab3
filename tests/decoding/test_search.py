"""The search driven by hand, one `advance` after the other, as a server drives it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch, Greedy, Search, advance, finish, start

FIRST_ENDS = {(): [0, 0, 0, 0, 1]}  # "4"
SECOND_GOES_ON = {(3,) * n: [0, 0, 0, 1, 0] for n in range(5)}  # "3 3 3 3 3"


@pytest.fixture
def begin(table_step: Any, history_tables: Callable) -> Callable[..., Search]:
    """Starts a search of two sentences."""
    step, source = table_step
    tables = source(history_tables(FIRST_ENDS, SECOND_GOES_ON))
    return lambda strategy, limit: start(strategy, step.start(tables), np.array(limit, "int32"))


def values(x: Any) -> list:
    return np.asarray(x).tolist()


@pytest.mark.parametrize(("strategy", "rows"), [(Greedy(), 2), (BeamSearch(3), 6)])
def test_a_search_begins_with_bos_in_every_row(begin: Callable, strategy: Any, rows: int) -> None:
    search = begin(strategy, [5, 0])
    assert values(search.ids) == [[1]] * rows
    assert values(search.state["rows"]["position"]) == [0] * rows
    assert search.state["memory"]["scores"].shape[0] == 2
    assert values(search.length) == [0, 0]
    assert values(search.done) == [False, False]
    assert values(search.history["tokens"]) == [[1]] * rows


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(1)])
def test_a_sentence_is_done_when_its_result_is_final_and_stays_so(
    begin: Callable, table_step: Any, strategy: Any
) -> None:
    step, _ = table_step
    search = begin(strategy, [5, 5])
    done = []
    for _ in range(7):
        search = advance(step, strategy, search)
        done.append(values(search.done))
    assert done == [[False, False], *[[True, False]] * 4, *[[True, True]] * 2]
    assert values(search.length) == [7, 7]
    assert values(search.state["rows"]["position"]) == [7, 7]
    results = finish(strategy, search)
    assert values(results.lengths) == [[1], [5]]
    assert values(results.tokens) == [[[4, 0, 0, 0, 0, 0, 0]], [[3, 3, 3, 3, 3, 0, 0]]]
    np.testing.assert_allclose(values(results.scores), [[0], [0]], atol=1e-6)


def test_steps_beyond_the_end_change_nothing(begin: Callable, table_step: Any) -> None:
    step, _ = table_step
    strategy = BeamSearch(3, n_best=3)
    search = begin(strategy, [2, 3])
    for _ in range(4):
        search = advance(step, strategy, search)
    assert values(search.done) == [True, True]
    early = finish(strategy, search)
    late = finish(strategy, advance(step, strategy, advance(step, strategy, search)))
    assert values(late.scores) == values(early.scores)
    assert values(late.lengths) == values(early.lengths)
    assert values(late.tokens[:, :, :4]) == values(early.tokens)


def test_rows_of_the_state_follow_their_hypotheses(table_step: Any, history_tables: Callable) -> None:
    # Of the two best after one step, 3 and 4, both continuations of 4 are better than any of 3.
    step, source = table_step
    table = {(): [0, 0, 0, 0.5, 0.5], (3,): [0.25, 0.25, 0, 0.25, 0.25], (4,): [0.5, 0.5, 0, 0, 0]}
    strategy = BeamSearch(2)
    search = start(strategy, step.start(source(history_tables(table))), np.array([3], "int32"))
    search = advance(step, strategy, search)
    assert values(search.ids) == [[3], [4]]
    read_3_and_4 = values(step(search.ids, search.state)[1]["rows"]["node"])
    search = advance(step, strategy, search)
    assert values(search.ids) == [[0], [1]]
    assert values(search.state["rows"]["node"]) == [read_3_and_4[1]] * 2
    assert values(search.history["tokens"]) == [[1, 4, 0], [1, 4, 1]]
