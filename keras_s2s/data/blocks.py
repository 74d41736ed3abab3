"""Rows of a corpus a block at a time: what is computed of a block takes little memory, however long the corpus."""

from collections.abc import Iterator


def blocks(count: int, size: int = 2**14) -> Iterator[slice]:
    """Cuts the rows 0 to `count` into neighbouring slices of `size` rows; the last one may be shorter."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
