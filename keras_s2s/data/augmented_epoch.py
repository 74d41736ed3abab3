"""The batches of an epoch whose examples are changed by chance."""

import itertools
from collections.abc import Sequence

import numpy as np

from keras_s2s.data.augmentations import Augmentation, Noise, augmented
from keras_s2s.data.examples import Examples

# So many batches are made at once. The more, the less padding they have, and the longer the first one takes.
_POOL = 16


class AugmentedEpoch:
    """Batches of augmented examples.

    Examples of one length have different lengths once they are changed. So the pairs of some neighbouring batches are
    made together, when one of them is first asked for, sorted again, and cut into as many batches. What is made is
    held.

    Args:
        examples: the corpus.
        batches: rows of the corpus for each batch, short ones first.
        augmentations: one after the other.
        seed: of the training, and the epoch.
        sentences: at most so many pairs in a batch.
    """

    def __init__(
        self,
        examples: Examples,
        batches: Sequence[np.ndarray],
        augmentations: Sequence[Augmentation],
        seed: tuple[int, int],
        sentences: int | None,
    ) -> None:
        self._examples, self._augmentations, self._seed = examples, augmentations, seed
        self._batches, self._turns = batches, _turns(batches)
        self._sentences = sentences
        self._pools: dict[int, list[Examples]] = {}

    def at(self, number: int) -> Examples:
        """The pairs of a batch."""
        pool, place = divmod(number, _POOL)
        if pool not in self._pools:
            self._pools[pool] = self._make(pool)
        return self._pools[pool][place]

    def _make(self, pool: int) -> list[Examples]:
        span = slice(pool * _POOL, (pool + 1) * _POOL)
        rows, turns = np.concatenate(self._batches[span]), np.concatenate(self._turns[span])
        noise = Noise(self._seed, 0, pool, rows, turns)
        made = augmented(self._examples.take(rows), self._augmentations, noise)
        order = np.argsort(made.length_keys(), kind="stable")
        spans = _cut_evenly(made.costs[order], len(self._batches[span]), self._sentences)
        return [made.take(order[slice(*span)]) for span in spans]


def _turns(batches: Sequence[np.ndarray]) -> list[np.ndarray]:
    """How many times each row came before, in the batches' shapes."""
    rows = np.concatenate(batches)
    order = np.argsort(rows, kind="stable")
    place = np.arange(len(rows))
    is_first = np.append(True, rows[order][1:] != rows[order][:-1])
    turns = np.empty_like(place)
    turns[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
    return np.split(turns, np.cumsum([len(batch) for batch in batches])[:-1])


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
