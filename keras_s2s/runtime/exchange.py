"""Who leaves a running batch, and who comes in their place, in the tensors of a search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_s2s.bundle import Layout


class Exchange:
    """Sentences that leave a batch, and others that take their places, so that as few as can be are moved.

    Args:
        count: B, how many there were.
        leaving: their places.
        coming: how many come.

    Attributes:
        order: for each place of the batch after it who stands there: a place of the batch before, or B and more for
            those who come.
    """

    def __init__(self, count: int, leaving: Sequence[int], coming: int) -> None:
        self._count, self._coming = count, coming
        self.order = _order(count, sorted(leaving), coming)
        stands = np.array(self.order)
        (self._kept,) = np.nonzero(stands < count)
        self._kept_from = stands[self._kept]
        self._moved = self._kept[self._kept != self._kept_from]
        self._runs = [(int(run[0]), int(run[-1]) + 1) for run in _runs(self._kept)]
        self._moved_from = stands[self._moved]
        (self._new,) = np.nonzero(stands >= count)
        self._new_from = stands[self._new] - count

    def __call__(
        self, layout: Layout, ours: np.ndarray, theirs: np.ndarray | None, sizes: Mapping[str, int]
    ) -> np.ndarray:
        """A tensor of the batch after the exchange. Where it can, it takes the memory of `ours`, which is used up.

        Args:
            layout: what the axes are.
            ours: of the batch before.
            theirs: of those who come, if any do.
            sizes: what is kept of ours: of "time" all but the first so many, of "source" the first so many.
        """
        each = len(ours) // self._count if layout.axes[0] == "rows" else 1
        before = ours.reshape(self._count, each, *ours.shape[1:])
        kept = [
            slice(sizes["time"], size) if axis == "time" else slice(0, sizes["source"] if axis == "source" else size)
            for axis, size in zip(layout.axes[1:], ours.shape[1:], strict=True)
        ]
        own = tuple(part.stop - part.start for part in kept)
        shape = own if theirs is None else tuple(map(max, own, theirs.shape[1:]))
        if shape == own == ours.shape[1:] and len(self.order) <= self._count:
            after = before[: len(self.order)]
            if len(self._moved):
                after[self._moved] = before[self._moved_from]
        else:
            after = np.empty((len(self.order), each, *shape), ours.dtype)
            if shape != own:
                after[:] = layout.padding
            places = _placed(layout, shape, own)
            if len(self._moved):
                after[self._kept, :, *places] = before[self._kept_from][:, :, *kept]
            else:
                # Slices are copied at once, where places would be gathered first.
                for first, end in self._runs:
                    after[first:end, :, *places] = before[first:end, :, *kept]
        if theirs is not None:
            if theirs.shape[1:] != shape:
                after[self._new] = layout.padding
            new = theirs.reshape(self._coming, each, *theirs.shape[1:])[self._new_from]
            after[self._new, :, *_placed(layout, shape, theirs.shape[1:])] = new
        return after.reshape(len(self.order) * each, *shape)


def _order(count: int, holes: Sequence[int], coming: int) -> list[int]:
    order = list(range(count))
    for number in range(coming):
        if number < len(holes):
            order[holes[number]] = count + number
        else:
            order.append(count + number)
    for hole in reversed(holes[coming:]):  # The last ones take the places that nobody came for.
        last = order.pop()
        if hole < len(order):
            order[hole] = last
    return order


def _runs(places: np.ndarray) -> list[np.ndarray]:
    """Places next to each other, together."""
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []


def _placed(layout: Layout, shape: Sequence[int], own: Sequence[int]) -> list[Any]:
    """Where values stand in a larger tensor: along time at its end, else at the beginning."""
    axes = zip(layout.axes[1:], shape, own, strict=True)
    return [slice(size - few, size) if axis == "time" else slice(0, few) for axis, size, few in axes]
