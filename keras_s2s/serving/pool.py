"""Workers over bounded queues. All of it lives on the event loop."""

import asyncio
import itertools
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

from keras_s2s.errors import UserError
from keras_s2s.serving.messages import ROOM, How, Measure, Report
from keras_s2s.serving.meter import Meter
from keras_s2s.serving.process import LostError, Order, WorkerProcess
from keras_s2s.serving.refusal import Refusal

logger = logging.getLogger(__name__)

Start = Callable[
    [How, Callable[[WorkerProcess, Report], None], Callable[[WorkerProcess], None]], Awaitable[WorkerProcess]
]
_SECONDS = 1.0
"""Before another worker is started in the place of one that could not be."""


class Pool:
    """Gives tasks to workers as far as these have room; what must wait is in a queue for each kind of engine.

    A worker that dies takes the requests of its own batches with it, and another one takes its place.

    Args:
        workers: how many.
        how: they work.
        queue: the most tasks that wait for a place before further requests are refused.
        meter: is told what happens.
        start: starts a worker.

    Attributes:
        executions: how many batches were computed with each bundle that is loaded, by its number. Of a search a step at
            a time each step is one.
    """

    def __init__(self, workers: int, how: How, queue: int, meter: Meter, start: Start = WorkerProcess.start) -> None:
        self._count, self._how, self._most, self._start = workers, how, queue, start
        self._rooms = {engine: batches * how.batch_size for engine, batches in ROOM.items()}
        self._waiting: dict[str, deque[Order]] = {engine: deque() for engine in ROOM}
        self._seconds = dict.fromkeys(ROOM, 0.05)
        self._workers: list[WorkerProcess] = []
        self._bundles: dict[int, str] = {}
        self.executions: Counter[int] = Counter()
        self._numbers = itertools.count()
        self._starting: set[asyncio.Task[None]] = set()
        self._meters = {
            engine: meter.of_engine(
                engine,
                room,
                lambda engine=engine: sum(worker.running[engine] for worker in self._workers),  # type: ignore[misc]
                lambda engine=engine: len(self._waiting[engine]),  # type: ignore[misc]
            )
            for engine, room in self._rooms.items()
        }

    async def start(self) -> None:
        """Starts the workers."""
        made = (self._start(self._how, self._reported, self._lost) for _ in range(self._count))
        self._workers = list(await asyncio.gather(*made))

    @property
    def alive(self) -> bool:
        """Whether anybody works."""
        return bool(self._workers)

    def number(self) -> int:
        """Of a new task."""
        return next(self._numbers)

    async def load(self, bundle: int, folder: str) -> None:
        """Loads a bundle in all workers.

        Args:
            bundle: its number, by which tasks name it.
            folder: where it lies, until it is forgotten.

        Raises:
            UserError: it cannot be loaded.
        """
        self._bundles[bundle] = folder
        loaded = await asyncio.gather(
            *(worker.load(bundle, folder) for worker in self._workers), return_exceptions=True
        )
        for error in loaded:
            # A worker that is lost is replaced, and the new one loads all bundles.
            if error is not None and not isinstance(error, LostError):
                self.forget(bundle)
                raise error
        if not self._workers:
            self.forget(bundle)
            raise UserError("no worker could load it; the log says why")

    def forget(self, bundle: int) -> None:
        """No task names this bundle any more."""
        del self._bundles[bundle], self.executions[bundle]
        for worker in self._workers:
            worker.forget(bundle)

    def check_room(self) -> None:
        """Looks whether the queues take a request now.

        Raises:
            Refusal: one does not.
        """
        for engine, waiting in self._waiting.items():
            free = sum(max(0, self._rooms[engine] - worker.running[engine]) for worker in self._workers)
            if len(waiting) >= self._most + free:
                seconds = max(1, math.ceil(len(waiting) * self._seconds[engine]))
                raise Refusal(429, f"too many requests wait; try again in {seconds} s", seconds)

    def submit(self, orders: Sequence[Order]) -> None:
        """Takes the orders of a request, all or none.

        Raises:
            Refusal: a queue is full.
        """
        self.check_room()
        for order in orders:
            self._waiting[order.task.engine].append(order)
        for engine in {order.task.engine for order in orders}:
            self._give(engine)

    def cancel(self, orders: Sequence[Order]) -> None:
        """Nobody waits for these any more."""
        for order in orders:
            order.cancelled = True
            if order.worker is not None:
                order.worker.cancel(order)
        for engine in {order.task.engine for order in orders}:
            self._give(engine)

    async def close(self) -> None:
        """Ends the workers; nobody waits for anything any more."""
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    def _give(self, engine: str) -> None:
        """Gives what waits to who has most room."""
        waiting, now = self._waiting[engine], time.perf_counter()
        while waiting and self._workers:
            worker = min(self._workers, key=lambda worker: worker.running[engine])
            if not waiting[0].cancelled:
                if worker.running[engine] >= self._rooms[engine]:
                    return
                waiting[0].given = now
                worker.give(waiting[0])
                self._meters[engine].taken(now - waiting[0].task.came)
            waiting.popleft()

    def _reported(self, worker: WorkerProcess, report: Report) -> None:
        for number, ids in report.written:
            if (writing := worker.orders.get(number)) and writing.progress is not None:
                writing.progress(ids)
        for number, found in report.ended:
            self._end(worker, number, found)
        for number, why in report.failed:
            self._end(worker, number, RuntimeError(why))
        for measured in itertools.starmap(Measure, report.rounds):
            self._meters[report.engine].round(measured)
            if measured.texts and measured.bundle in self._bundles:
                self.executions[measured.bundle] += 1
        self._give(report.engine)

    def _end(self, worker: WorkerProcess, number: int, result: object) -> None:
        if (order := worker.take(number)) is None:
            return
        engine = order.task.engine
        share = (time.perf_counter() - order.given) / (self._rooms[engine] * self._count)
        self._seconds[engine] += 0.01 * (share - self._seconds[engine])
        order.end(result)

    def _lost(self, worker: WorkerProcess) -> None:
        logger.error("a worker was lost", extra={"facts": {"texts": len(worker.orders)}})
        if worker in self._workers:
            self._workers.remove(worker)
            starting = asyncio.ensure_future(self._replace(worker))
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)
        for order in list(worker.orders.values()):
            order.end(Refusal(503, "a worker was lost; try again", 1))
        worker.orders.clear()

    async def _replace(self, lost: WorkerProcess) -> None:
        """Starts a worker in the place of a lost one; it has loaded all bundles when it gets its first task."""
        await lost.close()
        while True:
            worker = await self._start(self._how, self._reported, self._lost)
            try:
                while missing := self._bundles.keys() - worker.bundles:
                    await worker.load(min(missing), self._bundles[min(missing)])
            except (LostError, UserError) as error:
                logger.error("a worker cannot be started", extra={"facts": {"error": str(error)}})
                await worker.close()
                await asyncio.sleep(_SECONDS)
                continue
            except asyncio.CancelledError:
                await worker.close()
                raise
            break
        for bundle in worker.bundles - self._bundles.keys():
            worker.forget(bundle)
        self._workers.append(worker)
        for engine in ROOM:
            self._give(engine)
