"""Sentences of any length, in batches of like length, and back in their order."""

from collections.abc import Callable, Sequence, Sized
from typing import TypeVar

Row = Sequence[int]
Item = TypeVar("Item", bound=Sized)
Result = TypeVar("Result")


def map_batches(
    function: Callable[[list[Item]], Sequence[Result]], items: Sequence[Item], batch_size: int
) -> list[Result]:
    """Applies `function` to batches of at most `batch_size` items of like length.

    Args:
        function: gives one result for each item of a batch.
        items: the ids of each sentence, or whatever else has a length.
        batch_size: at least 1.

    Returns:
        The result of each item, in the order of `items`.
    """
    results: dict[int, Result] = {}
    for indices in of_like_length([len(item) for item in items], batch_size):
        results.update(zip(indices, function([items[index] for index in indices]), strict=True))
    return [results[index] for index in range(len(items))]


def of_like_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """The places of items in batches of at most `batch_size`.

    The longest items come first: where memory is short, that shows at once.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
