"""Sources that a bundle shows to whoever tries it."""

from collections.abc import Sequence

import numpy as np

_LONGEST = 100  # characters


def examples(sources: Sequence[str], count: int) -> tuple[str, ...]:
    """Picks short sources of a line each, evenly spread and no two alike; the same ones every time.

    Args:
        sources: to pick from.
        count: how many, at most.
    """
    short = [source for source in dict.fromkeys(sources) if source.strip() and _is_short(source)]
    places = np.linspace(0, len(short) - 1, min(count, len(short))).astype(int)
    return tuple(short[place] for place in places)


def _is_short(source: str) -> bool:
    return len(source) <= _LONGEST and len(source.splitlines()) == 1
