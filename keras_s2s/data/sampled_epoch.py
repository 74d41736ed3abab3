"""The batches of an epoch whose texts are cut into other pieces by chance."""

import itertools
from collections.abc import Sequence

import numpy as np

from keras_s2s.data.examples import Examples

# So many batches are drawn at once. The more, the less padding they have, and the longer the first one takes.
_POOL = 16


class SampledEpoch:
    """Batches of examples under sub-word sampling.

    Texts of one length have different lengths once they are drawn. So the pairs of some neighbouring batches are drawn
    together, when one of them is first asked for, sorted again, and cut into as many batches. What is drawn is held.

    Args:
        examples: the corpus.
        batches: rows of the corpus for each batch, short ones first.
        alpha: see `Examples.sampled`.
        seed: of the epoch.
        sentences: at most so many pairs in a batch.
    """

    def __init__(
        self,
        examples: Examples,
        batches: Sequence[np.ndarray],
        alpha: float,
        seed: tuple[int, int],
        sentences: int | None,
    ) -> None:
        self._examples, self._batches, self._alpha, self._seed = examples, batches, alpha, seed
        self._sentences = sentences
        self._pools: dict[int, list[Examples]] = {}

    def at(self, number: int) -> Examples:
        """The pairs of a batch."""
        pool, place = divmod(number, _POOL)
        if pool not in self._pools:
            self._pools[pool] = self._draw(pool)
        return self._pools[pool][place]

    def _draw(self, pool: int) -> list[Examples]:
        batches = self._batches[pool * _POOL : (pool + 1) * _POOL]
        drawn = self._examples.take(np.concatenate(batches)).sampled(self._alpha, (*self._seed, pool))
        order = np.argsort(drawn.length_keys(), kind="stable")
        spans = _cut_evenly(drawn.costs[order], len(batches), self._sentences)
        return [drawn.take(order[slice(*span)]) for span in spans]


def _cut_evenly(costs: np.ndarray, number: int, longest: int | None) -> list[tuple[int, int]]:
    """Cuts N rows into `number` runs of about the same sum: first and last + 1 of each.

    No run is empty, which takes N of at least `number`, or of more than `longest` rows, which takes one of at most
    `number * longest`.
    """
    total, rows = np.cumsum(costs), len(costs)
    longest = longest or rows
    ends = [0]
    for later in reversed(range(number)):
        end = int(np.searchsorted(total, total[-1] * (1 - later / number))) + 1
        least, most = max(ends[-1] + 1, rows - later * longest), min(ends[-1] + longest, rows - later)
        ends.append(min(max(end, least), most))
    return list(itertools.pairwise(ends))
