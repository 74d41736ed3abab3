"""The shares of the replicas of a training in the rows of a batch."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Share(NamedTuple):
    """Which rows of a batch one of several replicas has.

    Of N replicas the r-th has the rows r, N + r, 2N + r, ...: neighbours have similar lengths, so shares have nearly
    equal numbers of tokens. A replica for which no rows are left has the first ones with weights of 0.

    Attributes:
        place: r, from 0.
        of: N.
    """

    place: int
    of: int

    def is_empty(self, rows: int) -> bool:
        """Whether none of so many rows are left for the replica."""
        return rows <= self.place

    def rows(self, rows: int) -> np.ndarray:
        """The numbers of the replica's rows of so many."""
        return np.zeros(1, np.int64) if self.is_empty(rows) else np.arange(self.place, rows, self.of)

    def of_batch(self, batch: Any, together: int = 1) -> Any:
        """The replica's part of a batch `(inputs, labels, weights)`, all of it arrays (B, ...).

        Args:
            batch: the whole one.
            together: so many neighbouring rows, from a multiple of it on, are one: they are never separated.
        """
        groups = len(tf.nest.flatten(batch)[0]) // together
        rows = (self.rows(groups)[:, None] * together + np.arange(together)).reshape(-1)
        inputs, labels, weights = tf.nest.map_structure(lambda values: values[rows], batch)
        return inputs, labels, weightless(weights) if self.is_empty(groups) else weights


WHOLE = Share(0, 1)
"""The share of the only one."""


def weightless(weights: Any) -> Any:
    """Weights of 0 in the place of others, which are an array or arrays by name."""
    return tf.nest.map_structure(np.zeros_like, weights)
