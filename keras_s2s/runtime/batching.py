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

    The longest items come first: where memory is short, that shows at once.

    Args:
        function: gives one result for each item of a batch.
        items: the ids of each sentence, or whatever else has a length.
        batch_size: at least 1.

    Returns:
        The result of each item, in the order of `items`.
    """
    order = sorted(range(len(items)), key=lambda index: -len(items[index]))
    results: dict[int, Result] = {}
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        results.update(zip(indices, function([items[index] for index in indices]), strict=True))
    return [results[index] for index in range(len(items))]
