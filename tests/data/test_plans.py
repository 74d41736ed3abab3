"""Plans of epochs against their definition, pair by pair, and the memory that they take."""

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.data import Batches, Examples, Mixture
from keras_s2s.data.examples import length_keys
from keras_s2s.data.plans import count_costs, cut, make_plan, runs_of
from keras_s2s.data.ragged import Ragged

PAIRS = 300_000  # More than are looked at together.


def slow_cut(costs: list[int], tokens: int, sentences: int | None = None) -> list[int]:
    """Where each batch ends, row by row."""
    ends, start, largest = [], 0, 0
    for row, cost in enumerate(costs):
        largest, length = max(largest, cost), row + 1 - start
        if length > 1 and (length * largest > tokens or (sentences and length > sentences)):
            ends.append(row)
            start, largest = row, cost
    return [*ends, len(costs)]


def of_lengths(sources: np.ndarray, labels: np.ndarray) -> Examples:
    """Pairs of these lengths, whose ids are all 4."""
    return Examples(*(Ragged(np.full(side.sum(), 4, np.uint16), np.cumsum(side)) for side in (sources, labels)))


@pytest.fixture(scope="module")
def examples() -> Examples:
    draw = np.random.default_rng(3)
    return of_lengths(*(np.minimum(1 + draw.poisson(6, PAIRS), 20) for _ in range(2)))


@pytest.mark.parametrize("sentences", [None, 1, 2, 5])
@pytest.mark.parametrize("tokens", [1, 4, 9, 30, 10_000])
@pytest.mark.parametrize("is_sorted", [False, True])
def test_rows_are_cut_where_a_loop_cuts_them(is_sorted: bool, tokens: int, sentences: int | None) -> None:
    draw = np.random.default_rng(tokens)
    for longest in (1, 2, 5, 12):
        costs = draw.integers(1, longest + 1, 60)
        costs = np.sort(costs) if is_sorted else costs
        found = cut(runs_of(of_lengths(costs, np.ones_like(costs))), tokens, sentences)
        assert found.tolist() == slow_cut(costs.tolist(), tokens, sentences)
        if is_sorted:
            ends = np.cumsum(np.bincount(costs))
            assert cut(enumerate(ends.tolist()), tokens, sentences).tolist() == found.tolist()


def test_all_small_cases_of_a_cut() -> None:
    for costs in itertools.product((1, 2, 3, 7), repeat=5):
        for tokens, sentences in itertools.product((2, 6, 8), (None, 3)):
            runs = zip(costs, itertools.count(1), strict=False)
            assert cut(runs, tokens, sentences).tolist() == slow_cut(list(costs), tokens, sentences)


def slow_plan(examples: Examples, rows: np.ndarray, seed: int, tokens: int) -> tuple[list[list[int]], list[int]]:
    """Shuffled, sorted by `length_keys` with a stable sort, and cut; and the order of the batches."""
    draw = np.random.default_rng(seed)
    rows = draw.permutation(rows.astype(np.int64))
    rows = rows[np.argsort(examples.length_keys()[rows], kind="stable")]
    ends = slow_cut(examples.costs[rows].tolist(), tokens)
    return [part.tolist() for part in np.split(rows, ends[:-1])], draw.permutation(len(ends)).tolist()


def check(examples: Examples, rows: np.ndarray, tokens: int) -> None:
    longest = int(examples.costs[rows].max())
    plan = make_plan(examples, rows.astype(np.uint32), longest, np.random.default_rng(5), tokens)
    batches, order = slow_plan(examples, rows, 5, tokens)
    assert [plan.batch(number).tolist() for number in range(len(plan))] == batches
    assert plan.order.tolist() == order
    of_costs = count_costs(examples, rows.astype(np.uint32), longest)
    assert of_costs.tolist() == np.bincount(examples.costs[rows]).tolist()


@pytest.mark.parametrize("count", [PAIRS, 1, 7])
def test_a_plan_is_its_definition(examples: Examples, count: int) -> None:
    check(examples, np.arange(count), 4096)


def test_a_plan_of_some_rows_and_of_rows_that_repeat(examples: Examples) -> None:
    rows = np.random.default_rng(1).integers(0, PAIRS, PAIRS)
    assert len(np.unique(rows)) < PAIRS
    check(examples, rows, 512)


@pytest.mark.parametrize("longest", [46339, 46340, 200_000])
def test_a_plan_of_long_rows(longest: int) -> None:
    draw = np.random.default_rng(longest)
    sources, labels = (draw.choice([1, 2, longest - 1, longest], 60) for _ in range(2))
    sources[0] = longest
    check(of_lengths(sources, labels), np.arange(60), 4 * longest)


def test_order_by_length_does_not_depend_on_what_nobody_is_longer_than() -> None:
    lengths = np.array(list(itertools.product(range(9), repeat=2)))
    orders = [np.argsort(length_keys(*lengths.T, longest), kind="stable").tolist() for longest in (8, 9, 10, 257)]
    assert all(order == orders[0] for order in orders)
    assert length_keys(*lengths.T, 8).max() < 9 * 17


def test_planning_takes_at_most_16_bytes_a_pair(examples: Examples) -> None:
    made, held = Batches(examples), 0
    tracemalloc.start()
    try:
        for epoch in range(4):
            tracemalloc.reset_peak()
            made._plan(epoch)
            before, (held, most) = held, tracemalloc.get_traced_memory()
            assert most - before < 16 * PAIRS
    finally:
        tracemalloc.stop()
    assert held < 2 * 4.1 * PAIRS  # The last two.


def test_steps_of_a_mixture_are_known_without_plans(examples: Examples) -> None:
    parts = {"few": range(1000), "many": range(1000, 3000)}
    some = examples.take(np.arange(3000))
    made, counted = (Batches(some, tokens=256, mixture=Mixture(parts, weights=[4, 1])) for _ in range(2))
    begin = 0
    for epoch in range(4):
        batches = len(made._plan(epoch))
        assert counted.steps_of(epoch) == range(begin, begin + batches)
        begin += batches
    assert not counted._plans


def test_batches_of_maps_of_files_are_those_of_arrays(tmp_path: Path, examples: Examples) -> None:
    some, sides = examples.take(np.arange(500)), []
    for name, side in (("source", some.sources), ("target", some.labels)):
        assert side is not None
        side.values.tofile(tmp_path / f"{name}.values")
        side.ends.tofile(tmp_path / f"{name}.ends")
        maps = (("values", np.uint16), ("ends", np.int64))
        sides.append(Ragged(*(np.memmap(tmp_path / f"{name}.{part}", dtype, "r") for part, dtype in maps)))
    options = {"tokens": 128, "maximum_length": 8}
    one, other = Batches(some, **options), Batches(Examples(*sides), **options)
    for step in one.steps_of(0):
        for part, again in zip(one.at(step)[1:], other.at(step)[1:], strict=True):
            assert np.array_equal(part, again)
    assert one.padding() == other.padding()
