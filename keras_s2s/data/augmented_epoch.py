"""The batches of an epoch whose examples are changed by chance."""

import itertools
import pickle
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_s2s.data.augmentations import Augmentation, Noise, augmented
from keras_s2s.data.blocks import blocks
from keras_s2s.data.examples import Examples
from keras_s2s.data.plans import Plan, sorted_with_places
from keras_s2s.errors import UserError

# So many batches are made at once. The more, the less padding they have, and the longer the first one takes.
_POOL = 16
# Batches up to so many bytes are held in memory.
_IN_MEMORY = 2**25


class AugmentedEpoch:
    """Batches of augmented examples.

    Examples of one length have different lengths once they are changed. So the pairs of some neighbouring batches are
    made together, when one of them is first asked for, sorted again, and cut into as many batches. Steps ask for them
    in any order, so what is made is kept until the end of the epoch: more than a little of it in a temporary file.

    Args:
        examples: the corpus.
        plan: of the epoch.
        augmentations: one after the other.
        seed: of the training, and the epoch.
        sentences: at most so many pairs in a batch.
        repeats: whether a row may be in the epoch more than once.
    """

    def __init__(
        self,
        examples: Examples,
        plan: Plan,
        augmentations: Sequence[Augmentation],
        seed: tuple[int, int],
        sentences: int | None,
        repeats: bool = False,
    ) -> None:
        self._examples, self._augmentations, self._seed = examples, augmentations, seed
        self._plan, self._turns = plan, turns(plan.rows) if repeats else None
        self._sentences = sentences
        self._made = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - open as long as the epoch
        self._begins: dict[int, int] = {}
        self._lock = threading.Lock()

    def at(self, number: int) -> Examples:
        """The pairs of a batch.

        Raises:
            UserError: the temporary file cannot be written.
        """
        with self._lock:
            if number not in self._begins:
                self._keep(number // _POOL)
            self._made.seek(self._begins[number])
            return pickle.load(self._made)

    def _keep(self, pool: int) -> None:
        self._made.seek(0, 2)
        end = self._made.tell()
        try:
            for number, batch in enumerate(self._make(pool), start=pool * _POOL):
                self._begins[number] = self._made.tell()
                pickle.dump(batch, self._made, pickle.HIGHEST_PROTOCOL)
            self._made.flush()
        except OSError as error:
            raise UserError(
                f"augmentations: {tempfile.gettempdir()}: {error.strerror}; the batches of an epoch are written there, "
                f"so far {end:,} bytes; make room, or name another folder in TMPDIR"
            ) from error

    def _make(self, pool: int) -> list[Examples]:
        first, last = pool * _POOL, min((pool + 1) * _POOL, len(self._plan))
        span = self._plan.span(first, last)
        rows = self._plan.rows[span].astype(np.int64)
        turns = np.zeros_like(rows) if self._turns is None else self._turns[span].astype(np.int64)
        noise = Noise(self._seed, 0, pool, rows, turns)
        made = augmented(self._examples.take(rows), self._augmentations, noise)
        made = replace(made, texts=None)  # Nobody asks for them any more.
        order = np.argsort(made.length_keys(), kind="stable")
        spans = _cut_evenly(made.costs[order], last - first, self._sentences)
        return [made.take(order[slice(*span)]) for span in spans]


def turns(rows: np.ndarray) -> np.ndarray:
    """(N,) uint32: how many times each row (N,) uint32 came before. On the way it takes 8 bytes a row."""
    packed = sorted_with_places(rows)
    found, last, first = np.empty(len(rows), np.uint32), -1, 0
    for block in blocks(len(rows)):
        places, numbers = np.arange(block.start, block.stop), (packed[block] >> np.uint64(32)).astype(np.int64)
        begins = np.where(np.diff(numbers, prepend=last) != 0, places, first)
        begins = np.maximum.accumulate(begins)
        found[packed[block] & np.uint64(2**32 - 1)] = places - begins
        last, first = numbers[-1], begins[-1]
    return found


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
