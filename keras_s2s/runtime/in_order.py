"""Results in order, while later ones are on their way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")
Begun = Callable[[], Sequence[Result]]


def in_order(begun: Iterable[Begun[Result] | None], ahead: int) -> Iterator[Result]:
    """Yields the results of what was begun, in order.

    An error of `begun` is raised after the results of what was begun before it.

    Args:
        begun: each waits for its results and gives them. None says that the next one may be long in coming, so that
            no result is held back until then.
        ahead: how many are begun, at most, after the one whose results are waited for.
    """
    waiting: deque[Begun[Result]] = deque()
    for one in _with_error(begun):
        if one is not None:
            waiting.append(one)
        while len(waiting) > (0 if one is None else ahead):
            yield from waiting.popleft()()


def _with_error(begun: Iterable[Begun[Result] | None]) -> Iterator[Begun[Result] | None]:
    """An error as the last that is begun; then None."""
    try:
        yield from begun
    except Exception as error:
        yield _raising(error)
    yield None


def _raising(error: Exception) -> Callable[[], Any]:
    def results() -> Any:
        raise error

    return results
