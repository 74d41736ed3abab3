"""Sentences of any length, in batches of like length, and back in their order."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Row = Sequence[int]
Result = TypeVar("Result")


def map_batches(
    function: Callable[[list[Row]], Sequence[Result]], rows: Sequence[Row], batch_size: int
) -> list[Result]:
    """Applies `function` to batches of at most `batch_size` rows of like length.

    The longest rows come first: where memory is short, that shows at once.

    Args:
        function: gives one result for each row of a batch.
        rows: the ids of each sentence.
        batch_size: at least 1.

    Returns:
        The result of each row, in the order of `rows`.
    """
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    results: dict[int, Result] = {}
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        results.update(zip(indices, function([rows[index] for index in indices]), strict=True))
    return [results[index] for index in range(len(rows))]
