"""Work in a thread, beside what a block does."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from keras_s2s.runtime.graph import Stop

Result = TypeVar("Result")


@contextlib.contextmanager
def beside(work: Callable[[], Result], stop: Stop) -> Iterator[Future[Result]]:
    """Does some work while the block lasts, and waits for it at the block's end.

    Args:
        work: done in a thread.
        stop: is called if the block fails or is interrupted, so that the work need not be waited for.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            yield future
            wait([future])
        except BaseException:
            stop()
            raise
