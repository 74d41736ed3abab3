"""The plan of an epoch: which rows share a batch, and in which order the batches come."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.data.examples import Examples, length_keys

_LOW = np.uint64(2**32 - 1)
_HALF = np.uint64(32)


@dataclass(frozen=True, eq=False)
class Plan:
    """The batches of an epoch. It holds 4 bytes a row.

    Attributes:
        rows: (N,) uint32, the rows of all batches, one batch behind the other, short rows first.
        ends: (B,) int64, where each batch ends in `rows`.
        order: (B,) int64, the number of the batch of each step.
    """

    rows: np.ndarray
    ends: np.ndarray
    order: np.ndarray

    def __len__(self) -> int:
        """The number of batches."""
        return len(self.ends)

    def span(self, first: int, last: int) -> slice:
        """Where the batches from number `first` to number `last`, that one left out, stand in `rows`."""
        return slice(int(self.ends[first - 1]) if first else 0, int(self.ends[last - 1]))

    def batch(self, number: int) -> np.ndarray:
        """The rows of a batch, a view of `rows`."""
        return self.rows[self.span(number, number + 1)]


def make_plan(
    examples: Examples,
    rows: np.ndarray,
    longest: int,
    draw: np.random.Generator,
    tokens: int,
    sentences: int | None = None,
) -> Plan:
    """Plans an epoch. On the way it takes 12 bytes a row, `rows` not counted.

    Rows are shuffled, then sorted by length with a stable sort: which of the rows of equal lengths meet in a batch is
    chance.

    Args:
        examples: the corpus. Only lengths are read, in the order of the corpus.
        rows: (N,) uint32, those of the epoch, in any order and as often as wanted. They are shuffled in place.
        longest: no row of these costs more ids.
        draw: all the chance there is.
        tokens: see `cut`.
        sentences: see `cut`.
    """
    draw.shuffle(rows)
    by_length = _by_length if (longest + 1) * (2 * longest + 1) < 2**32 else _by_great_length
    ordered, ends_of_costs = by_length(examples, rows, longest)
    ends = cut(enumerate(ends_of_costs.tolist()), tokens, sentences)
    return Plan(ordered, ends, draw.permutation(len(ends)))


def cut(runs: Iterable[tuple[int, int]], tokens: int, sentences: int | None = None) -> np.ndarray:
    """Cuts rows into batches, each as long as it can be with `rows * largest cost <= tokens`, or of a single row.

    Args:
        runs: cost of some neighbouring rows that have the same one, and where they end; run after run.
        tokens: of a batch.
        sentences: at most so many rows in a batch.

    Returns:
        (B,) int64, where each batch ends.
    """

    def most(cost: int) -> int:
        rows = tokens // max(cost, 1)
        return max(min(rows, sentences) if sentences else rows, 1)

    starts, begin, end = array("q", [0]), 0, 0
    start, largest, full = 0, -1, 0  # Of the batch: its first row, its largest cost, the first row with no room in it.
    for cost, end in runs:
        if begin == end:
            continue
        if cost > largest:
            largest, full = cost, start + most(cost)
        if end > full:
            # From here on all rows of a batch cost the same.
            starts.extend(range(max(begin, full), end, most(cost)))
            start, largest = starts[-1], cost
            full = start + most(cost)
        begin = end
    starts.append(end)
    return np.array(starts[1:], np.int64)


def runs_of(examples: Examples) -> Iterator[tuple[int, int]]:
    """The runs of equal costs in the order of the corpus, as `cut` wants them."""
    for block in blocks(len(examples.labels)):
        costs = np.maximum(*examples.lengths_at(block))
        ends = np.append(np.flatnonzero(costs[1:] != costs[:-1]) + 1, len(costs))
        yield from zip(costs[ends - 1].tolist(), (ends + block.start).tolist(), strict=True)


def count_costs(examples: Examples, rows: np.ndarray, longest: int) -> np.ndarray:
    """(longest + 1,) int64: how many of some rows have each cost. Sorts `rows` in place, to read in their order."""
    rows.sort()
    counts = np.zeros(longest + 1, np.int64)
    for block in blocks(len(rows)):
        counts += np.bincount(np.maximum(*examples.lengths_at(rows[block])), minlength=longest + 1)
    return counts


def sorted_with_places(rows: np.ndarray) -> np.ndarray:
    """(N,) uint64: each row (N,) uint32 in the upper half and its place in the lower one, ascending."""
    packed = np.empty(len(rows), np.uint64)
    for block in blocks(len(rows)):
        packed[block] = rows[block].astype(np.uint64) << _HALF | np.arange(block.start, block.stop, dtype=np.uint64)
    packed.sort()
    return packed


def _by_length(examples: Examples, rows: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows sorted by length, and where those of each cost end: (longest + 1,).

    A number of 64 bits is key and place of a row in `rows`: sorted in place, equal keys stay in the order of `rows`.
    Before, they are sorted by row, because files are read fastest in their own order.
    """
    packed = sorted_with_places(rows)
    for block in blocks(len(rows)):
        keys = length_keys(*examples.lengths_at(packed[block] >> _HALF), longest)
        packed[block] = keys.astype(np.uint64) << _HALF | packed[block] & _LOW
    packed.sort()
    of_costs = np.arange(1, longest + 2, dtype=np.uint64) * np.uint64(2 * longest + 1)
    ends = np.searchsorted(packed, of_costs << _HALF)
    # The rows take the place of the first numbers, which were read by then.
    ordered = packed.view(np.uint32)
    for block in blocks(len(rows)):
        ordered[block] = rows[packed[block] & _LOW]
    del ordered
    packed.resize(-(-len(rows) // 2), refcheck=False)  # Nothing else looks at it any more.
    return packed.view(np.uint32)[: len(rows)], ends


def _by_great_length(examples: Examples, rows: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The same where keys have more than 32 bits: rows of recordings. They are few, so memory may be more."""
    keys = length_keys(*examples.lengths_at(rows), longest)
    order = np.argsort(keys, kind="stable")
    return rows[order], np.searchsorted(keys[order], np.arange(1, longest + 2) * (2 * longest + 1))
