"""Which pairs of a corpus a training learns from: those that are short enough and that its heads can learn."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.data.examples import Examples
from keras_s2s.data.heads import Head, reachable
from keras_s2s.errors import UserError

_log = logging.getLogger(__name__)
_MOST = 2**32 - 1


@dataclass(frozen=True, eq=False)
class Kept:
    """The pairs that stay.

    Attributes:
        numbers: (M,) uint32, their rows in the corpus, ascending; None is every row.
        of_costs: (L + 1,) int64, how many of them have each cost from 0 to L ids, the most that one has.
    """

    numbers: np.ndarray | None
    of_costs: np.ndarray

    def __len__(self) -> int:
        """The number of pairs."""
        return int(self.of_costs.sum())

    @property
    def longest(self) -> int:
        """The most ids that one costs."""
        return len(self.of_costs) - 1

    def rows(self) -> np.ndarray:
        """Their rows, ascending, as a new array (M,) uint32."""
        return np.arange(len(self), dtype=np.uint32) if self.numbers is None else self.numbers.copy()


def keep(examples: Examples, *, maximum_length: int, tokens: int, heads: Sequence[Head], upsampling: int) -> Kept:
    """Finds the pairs that stay, and warns how many do not, and why.

    Args:
        examples: the corpus.
        maximum_length: longer pairs are left out.
        tokens: of a batch.
        heads: outputs of the model.
        upsampling: frames that a CTC head has for each source id.

    Raises:
        UserError: there are no pairs, or 2^32 or more, or nothing stays, or one that does has more than `tokens` ids.
    """
    count = len(examples.labels)
    if not count:
        raise UserError("batches: no pairs; give at least one")
    if count > _MOST:
        raise UserError(f"batches: {count} pairs; at most {_MOST} can be planned, so leave some out")
    stays = np.zeros(count, bool)
    of_costs, shortest, too_long = np.zeros(1, np.int64), np.iinfo(np.int64).max, 0
    for block in blocks(count):
        sources, labels = examples.lengths_at(block)
        costs = np.maximum(sources, labels)
        kept = costs <= maximum_length
        shortest, too_long = min(shortest, int(costs.min())), too_long + int(np.count_nonzero(~kept))
        if "ctc" in heads:
            kept[kept] = reachable(sources[kept], examples.labels[block].take(np.flatnonzero(kept)), upsampling)
        of_costs = _sum(of_costs, np.bincount(costs[kept]))
        stays[block] = kept
    found, rest = Kept(None, of_costs), count - too_long
    if not rest:
        raise UserError(f"batches: maximum_length {maximum_length}: every pair is longer, at least {shortest} ids")
    if too_long:
        _log.warning("%d of %d pairs left out: more than %d ids", too_long, count, maximum_length)
    if lost := rest - len(found):
        _log.warning("%d of %d pairs left out: a longer target than a CTC head's frames can hold", lost, rest)
    if not len(found):
        raise UserError("batches: no pair has a path through CTC; raise the CTC head's upsampling")
    if found.longest > tokens:
        raise UserError(
            f"batches: tokens {tokens}: one pair alone has {found.longest}; raise tokens or lower maximum_length"
        )
    return found if len(found) == count else Kept(_numbers(stays, len(found)), of_costs)


def _sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The sum of two lists of counts, of which one may be longer."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    longer[: len(shorter)] += shorter
    return longer


def _numbers(mask: np.ndarray, count: int) -> np.ndarray:
    """(count,) uint32: where a mask is true."""
    numbers, begin = np.empty(count, np.uint32), 0
    for block in blocks(len(mask)):
        found = np.flatnonzero(mask[block]) + block.start
        numbers[begin : begin + len(found)] = found
        begin += len(found)
    return numbers
