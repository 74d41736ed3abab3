"""Exchanges of sentences in the tensors of a batch, against tensors that are put together anew."""

import numpy as np
import pytest

from keras_s2s.layout import Layout
from keras_s2s.runtime.exchange import Exchange

LAYOUTS = {
    "sentences": Layout(axes=("sentences",), padding=0),
    "rows": Layout(axes=("rows", "", "time", ""), padding=7),
    "source": Layout(axes=("sentences", "source", ""), padding=3),
    "time": Layout(axes=("sentences", "", "time"), padding=1),
    "past": Layout(axes=("rows", "past", ""), padding=5),
}
EACH = 2


def tensor(layout: Layout, numbers: range, time: int, source: int, first: int) -> np.ndarray:
    """Values that tell whose they are, and where from the end of time or the beginning of the source they stand."""
    sizes = {
        "sentences": len(numbers),
        "rows": len(numbers) * EACH,
        "time": time,
        "past": time,
        "source": source,
        "": 3,
    }
    shape = [sizes[axis] for axis in layout.axes]
    values = np.zeros(shape, int)
    for index in np.ndindex(*shape):
        whose = index[0] if layout.axes[0] == "rows" else index[0] * EACH
        places = [
            place - sizes[axis] if axis == "time" else place
            for axis, place in zip(layout.axes[1:], index[1:], strict=True)
        ]
        values[index] = (first + whose) * 1_000_000 + sum(abs(place) * 100**n for n, place in enumerate(places))
    return values


def widened(layout: Layout, values: np.ndarray, time: int, source: int) -> np.ndarray:
    """Cut or padded to these sizes."""
    for axis, kind in enumerate(layout.axes):
        size = {"time": time, "past": time, "source": source}.get(kind, values.shape[axis])
        places = np.arange(size) + (values.shape[axis] - size if kind == "time" else 0)
        inside = (places >= 0) & (places < values.shape[axis])
        taken = np.take(values, np.where(inside, places, 0), axis) if values.shape[axis] else None
        shape = [*values.shape[:axis], size, *values.shape[axis + 1 :]]
        mask = inside.reshape([-1 if n == axis else 1 for n in range(values.ndim)])
        values = np.full(shape, layout.padding) if taken is None else np.where(mask, taken, layout.padding)
    return values


@pytest.mark.parametrize("kind", LAYOUTS)
def test_everybody_stands_where_the_order_says(kind: str) -> None:
    layout, rng = LAYOUTS[kind], np.random.default_rng(4)
    in_place = 0
    for _ in range(300):
        count, coming = int(rng.integers(1, 6)), int(rng.integers(0, 4))
        leaving = rng.permutation(count)[: rng.integers(0, count)].tolist()
        time, source = int(rng.integers(0, 4)), int(rng.integers(1, 5))
        cut, kept = int(rng.integers(0, time + 1)), int(rng.integers(1, source + 1))
        new_time, new_source = int(rng.integers(0, 4)), int(rng.integers(1, 5))
        ours = tensor(layout, range(count), time, source, 0)
        theirs = tensor(layout, range(coming), new_time, new_source, 1000) if coming else None
        exchange = Exchange(count, leaving, coming)
        assert sorted(exchange.order) == sorted({*range(count + coming)} - {*leaving})

        wide = max(time - cut, new_time if coming else 0), max(kept, new_source if coming else 0)
        parts = [widened(layout, widened(layout, ours, time - cut, kept), *wide)]
        if theirs is not None:
            parts.append(widened(layout, theirs, *wide))
        each = EACH if layout.axes[0] == "rows" else 1
        by_sentence = np.concatenate(parts).reshape(count + coming, each, *parts[0].shape[1:])
        expected = by_sentence[exchange.order].reshape(len(exchange.order) * each, *parts[0].shape[1:])
        found = exchange(layout, ours, theirs, {"time": cut, "past": cut, "source": kept})
        np.testing.assert_array_equal(found, expected)
        in_place += np.shares_memory(found, ours)
    assert in_place > 20


def test_as_few_as_can_be_are_moved() -> None:
    assert Exchange(5, [1, 3], 2).order == [0, 5, 2, 6, 4]
    assert Exchange(5, [1, 3], 0).order == [0, 4, 2]
    assert Exchange(5, [4], 0).order == [0, 1, 2, 3]
    assert Exchange(5, [0, 1, 2, 3], 1).order == [5, 4]
    assert Exchange(2, [], 2).order == [0, 1, 2, 3]
