"""Batches of a call, as many at once as there are cores."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from keras_s2s.cores import available_cores
from keras_s2s.runtime.batching import of_like_length
from keras_s2s.runtime.graph import Stop

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """Where a batch is computed.

    Attributes:
        beside: other batches are computed at the same time, so this one has one core; else it has all of them.
        stop: ends it.
    """

    beside: bool = False
    stop: Stop | None = None


class Workers:
    """Threads that compute batches while a `with` block lasts; what is unfinished at its end is given up.

    Args:
        cores: how many to use; None is all that this process may use.

    Attributes:
        cores: how many batches are computed at once.
    """

    def __init__(self, cores: int | None) -> None:
        self.cores = available_cores() if cores is None else cores
        self._pool = ThreadPoolExecutor(self.cores)
        self._unfinished: list[Future[Any]] = []
        self._stop = Stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._pool.shutdown(cancel_futures=True)

    def begin(
        self,
        function: Callable[[list[Item], Place], Sequence[Result]],
        items: Sequence[Item],
        lengths: Sequence[int],
        batch_size: int,
    ) -> Callable[[], list[Result]]:
        """Begins to compute items in batches of like length.

        Args:
            function: gives one result for each item of a batch.
            items: of any length.
            lengths: of the items.
            batch_size: at least 1.

        Returns:
            Waits for the results, and gives them in the order of the items.
        """
        batches = of_like_length(lengths, batch_size)
        self._unfinished = [future for future in self._unfinished if not future.done()]
        # A second thread helps a small operator little, so several batches share the cores better than one does.
        beside = self.cores > 1 and (len(batches) > 1 or bool(self._unfinished))
        place = Place(beside, self._stop)
        futures = [self._pool.submit(function, [items[index] for index in batch], place) for batch in batches]
        self._unfinished += futures

        def results() -> list[Result]:
            found: dict[int, Result] = {}
            for batch, future in zip(batches, futures, strict=True):
                found.update(zip(batch, future.result(), strict=True))
            return [found[index] for index in range(len(items))]

        return results
