"""Workers over bounded queues. All of it lives on the event loop."""

import asyncio
import itertools
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

from keras_s2s.errors import UserError
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.messages import SCHEDULERS, Report, RoundMetrics, WorkerOptions
from keras_s2s.serving.metrics import Metrics
from keras_s2s.serving.process import SubmittedJob, WorkerLostError, WorkerProcess

logger = logging.getLogger(__name__)

StartWorker = Callable[
    [WorkerOptions, Callable[[WorkerProcess, Report], None], Callable[[WorkerProcess], None]], Awaitable[WorkerProcess]
]
_SECONDS = 1.0
"""Before another worker is started in the place of one that could not be."""


class Pool:
    """Gives jobs to workers as far as these have room; what must wait is in a queue for each scheduler.

    A worker that dies takes the requests of its own batches with it, and another one takes its place.

    Args:
        workers: how many.
        options: of each worker.
        queue: the most jobs that wait for a place before further requests are refused.
        metrics: is told what happens.
        start: starts a worker.

    Attributes:
        executions: how many batches were computed with each bundle that is loaded, by its number. Of a search a step at
            a time each step is one.
    """

    def __init__(
        self,
        workers: int,
        options: WorkerOptions,
        queue: int,
        metrics: Metrics,
        start: StartWorker = WorkerProcess.start,
    ) -> None:
        self._count, self._options, self._most, self._start = workers, options, queue, start
        self._waiting: dict[str, deque[SubmittedJob]] = {scheduler: deque() for scheduler in SCHEDULERS}
        self._seconds = dict.fromkeys(SCHEDULERS, 0.05)
        self._workers: list[WorkerProcess] = []
        self._bundles: dict[int, str] = {}
        self.executions: Counter[int] = Counter()
        self._numbers = itertools.count()
        self._starting: set[asyncio.Task[None]] = set()
        self._metrics = {
            scheduler: metrics.of_scheduler(
                scheduler,
                options.batch_size,
                lambda scheduler=scheduler: sum(worker.running[scheduler] for worker in self._workers),  # type: ignore[misc]
                lambda scheduler=scheduler: len(self._waiting[scheduler]),  # type: ignore[misc]
            )
            for scheduler in SCHEDULERS
        }

    async def start(self) -> None:
        """Starts the workers."""
        made = (self._start(self._options, self._reported, self._lost) for _ in range(self._count))
        self._workers = list(await asyncio.gather(*made))

    @property
    def alive(self) -> bool:
        """Whether anybody works."""
        return bool(self._workers)

    def number(self) -> int:
        """The number of a new job."""
        return next(self._numbers)

    async def load(self, bundle: int, folder: str) -> None:
        """Loads a bundle in all workers.

        Args:
            bundle: its number, by which jobs name it.
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
            if error is not None and not isinstance(error, WorkerLostError):
                self.forget(bundle)
                raise error
        if not self._workers:
            self.forget(bundle)
            raise UserError("no worker could load it; the log says why")

    def forget(self, bundle: int) -> None:
        """No job names this bundle any more."""
        del self._bundles[bundle], self.executions[bundle]
        for worker in self._workers:
            worker.forget(bundle)

    def check_room(self) -> None:
        """Looks whether the queues take a request now.

        Raises:
            HTTPProblem: one does not.
        """
        for scheduler, waiting in self._waiting.items():
            free = sum(max(0, self._options.batch_size - worker.running[scheduler]) for worker in self._workers)
            if len(waiting) >= self._most + free:
                seconds = max(1, math.ceil(len(waiting) * self._seconds[scheduler]))
                raise HTTPProblem(429, f"too many requests wait; try again in {seconds} s", seconds)

    def submit(self, jobs: Sequence[SubmittedJob]) -> None:
        """Takes the jobs of a request, all or none.

        Raises:
            HTTPProblem: a queue is full.
        """
        self.check_room()
        for submitted in jobs:
            self._waiting[submitted.job.scheduler].append(submitted)
        for scheduler in {submitted.job.scheduler for submitted in jobs}:
            self._give(scheduler)

    def cancel(self, jobs: Sequence[SubmittedJob]) -> None:
        """Nobody waits for these any more."""
        for submitted in jobs:
            submitted.cancelled = True
            if submitted.worker is not None:
                submitted.worker.cancel(submitted)
        for scheduler in {submitted.job.scheduler for submitted in jobs}:
            self._give(scheduler)

    async def close(self) -> None:
        """Ends the workers; nobody waits for anything any more."""
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    def _give(self, scheduler: str) -> None:
        """Gives what waits to who has most room."""
        waiting, now = self._waiting[scheduler], time.perf_counter()
        while waiting and self._workers:
            worker = min(self._workers, key=lambda worker: worker.running[scheduler])
            if not (count := self._room(scheduler, worker)):
                return
            taken = self._taken(waiting, count)
            for submitted in taken:
                submitted.given = now
                self._metrics[scheduler].taken(now - submitted.job.came)
            worker.give(taken)

    def _room(self, scheduler: str, worker: WorkerProcess) -> int:
        """How many jobs a worker is given at once, of those that wait."""
        running = worker.running[scheduler]
        if scheduler == "steps":
            return int(running < self._options.batch_size)
        # A whole batch begins when the last one has ended. Until then, those who come wait for whoever is free first.
        idle = sum(not one.running[scheduler] for one in self._workers)
        return 0 if running else min(math.ceil(len(self._waiting[scheduler]) / idle), self._options.batch_size)

    @staticmethod
    def _taken(waiting: deque[SubmittedJob], count: int) -> list[SubmittedJob]:
        """Takes up to so many jobs that somebody waits for."""
        taken: list[SubmittedJob] = []
        while waiting and len(taken) < count:
            if not (first := waiting.popleft()).cancelled:
                taken.append(first)
        return taken

    def _reported(self, worker: WorkerProcess, report: Report) -> None:
        for number, ids in report.written:
            if (writing := worker.jobs.get(number)) and writing.progress is not None:
                writing.progress(ids)
        for number, found in report.ended:
            self._end(worker, number, found)
        for number, why in report.failed:
            self._end(worker, number, RuntimeError(why))
        for measured in itertools.starmap(RoundMetrics, report.rounds):
            self._metrics[report.scheduler].round(measured)
            if measured.texts and measured.bundle in self._bundles:
                self.executions[measured.bundle] += 1
        self._give(report.scheduler)

    def _end(self, worker: WorkerProcess, number: int, result: object) -> None:
        if (submitted := worker.take(number)) is None:
            return
        scheduler = submitted.job.scheduler
        share = (time.perf_counter() - submitted.given) / (self._options.batch_size * self._count)
        self._seconds[scheduler] += 0.01 * (share - self._seconds[scheduler])
        submitted.end(result)

    def _lost(self, worker: WorkerProcess) -> None:
        logger.error("a worker was lost", extra={"facts": {"texts": len(worker.jobs)}})
        if worker in self._workers:
            self._workers.remove(worker)
            starting = asyncio.ensure_future(self._replace(worker))
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)
        for submitted in list(worker.jobs.values()):
            submitted.end(HTTPProblem(503, "a worker was lost; try again", 1))
        worker.jobs.clear()

    async def _replace(self, lost: WorkerProcess) -> None:
        """Starts a worker in the place of a lost one; it has loaded all bundles when it gets its first job."""
        await lost.close()
        while True:
            worker = await self._start(self._options, self._reported, self._lost)
            try:
                while missing := self._bundles.keys() - worker.bundles:
                    await worker.load(min(missing), self._bundles[min(missing)])
            except (WorkerLostError, UserError) as error:
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
        for scheduler in SCHEDULERS:
            self._give(scheduler)
