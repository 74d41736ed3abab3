"""Who leaves a running batch, and who comes in their place, in the tensors of a search."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, Self

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
        stands = list(enumerate(self.order))
        self._new = [(place, whose - count) for place, whose in stands if whose >= count]
        self._moved = [(place, whose) for place, whose in stands if whose < count and place != whose]
        self._kept = list(_runs([(place, whose) for place, whose in stands if whose < count]))
        self._changes: dict[Any, _Change] = {}

    def __call__(
        self, layout: Layout, ours: np.ndarray, theirs: np.ndarray | None, sizes: Mapping[str, int]
    ) -> np.ndarray:
        """A tensor of the batch after the exchange. Where it can, it takes the memory of `ours`, which is used up.

        Args:
            layout: what the axes are.
            ours: of the batch before.
            theirs: of those who come, if any do.
            sizes: what is kept of ours: of "time" all but the first so many, of "past" all but the last so many, of
                "source" the first so many; the same in all calls.
        """
        # A search has dozens of tensors of a few shapes.
        key = layout.axes, ours.shape, None if theirs is None else theirs.shape
        change = self._changes.get(key)
        if change is None:
            change = self._changes[key] = _Change.of(layout.axes, ours.shape[1:], theirs, sizes)
        each = len(ours) // self._count if layout.axes[0] == "rows" else 1
        before = ours.reshape(self._count, each, *ours.shape[1:])
        count = len(self.order)
        if change.is_of_like_size and count <= self._count:
            after = before[:count]
            for place, whose in self._moved:
                after[place] = before[whose]
        else:
            after = np.empty((count, each, *change.shape), ours.dtype)
            if not change.is_filled:
                after[:] = layout.padding
            for first, whose, end in self._kept:
                after[first:end, :, *change.ours_to] = before[whose : whose + end - first, :, *change.ours_from]
        if theirs is not None:
            new = theirs.reshape(self._coming, each, *theirs.shape[1:])
            for place, whose in self._new:
                if not change.theirs_fill:
                    after[place] = layout.padding
                after[place, :, *change.theirs_to] = new[whose]
        return after.reshape(count * each, *change.shape)


class _Change(NamedTuple):
    """What becomes of tensors of one shape, but for the axis of sentences.

    Attributes:
        shape: afterwards.
        ours_from: what is kept.
        ours_to: where it stands.
        theirs_to: where those who come stand.
        is_of_like_size: all is kept, and nothing is added.
        is_filled: what is kept leaves no place for padding.
        theirs_fill: those who come leave none, either.
    """

    shape: tuple[int, ...]
    ours_from: list[Any]
    ours_to: list[Any]
    theirs_to: list[Any]
    is_of_like_size: bool
    is_filled: bool
    theirs_fill: bool

    @classmethod
    def of(
        cls, axes: Sequence[str], before: Sequence[int], theirs: np.ndarray | None, sizes: Mapping[str, int]
    ) -> Self:
        kept = [_kept(axis, size, sizes) for axis, size in zip(axes[1:], before, strict=True)]
        own = tuple(part.stop - part.start for part in kept)
        new = own if theirs is None else theirs.shape[1:]
        shape = tuple(map(max, own, new))
        return cls(
            shape,
            kept,
            _placed(axes, shape, own),
            _placed(axes, shape, new),
            shape == own == tuple(before),
            shape == own,
            shape == new,
        )


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


def _runs(places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Places that stand next to each other and come from next to each other: the first, where from, and the end.

    Slices are copied at once, where places would be gathered first.
    """
    for _, run in groupby(enumerate(places), lambda one: (one[1][0] - one[0], one[1][1] - one[0])):
        members = [place for _, place in run]
        yield *members[0], members[-1][0] + 1


def _kept(axis: str, size: int, sizes: Mapping[str, int]) -> slice:
    """What is kept along an axis."""
    match axis:
        case "time":
            return slice(sizes["time"], size)
        case "past":
            return slice(0, size - sizes["past"])
        case "source":
            return slice(0, sizes["source"])
    return slice(0, size)


def _placed(axes: Sequence[str], shape: Sequence[int], own: Sequence[int]) -> list[Any]:
    """Where values stand in a larger tensor: along time at its end, else at the beginning."""
    sized = zip(axes[1:], shape, own, strict=True)
    return [slice(size - few, size) if axis == "time" else slice(0, few) for axis, size, few in sized]
