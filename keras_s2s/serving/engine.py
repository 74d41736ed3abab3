"""Threads that decode the texts of many requests together."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from keras_s2s.serving.jobs import Found, Job, Lane, Round
from keras_s2s.serving.meter import Meter

logger = logging.getLogger(__name__)

Calls = list[Callable[[], None]]


class FullError(Exception):
    """The queue is full.

    Args:
        seconds: after which there may be room.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests wait; try again in {seconds} s")
        self.seconds = seconds


class Engine:
    """Workers over one bounded queue. Each takes jobs while its batches have room, and works on its lanes in turn.

    Args:
        name: in metrics and names of threads.
        workers: threads.
        batch_size: the most jobs that a worker has at a time.
        queue: the most jobs that wait for a place before further requests are refused.
        post: runs calls where the jobs' owners want them, all of a round at once, in order.
        meter: is told what happens.
    """

    def __init__(
        self, name: str, workers: int, batch_size: int, queue: int, post: Callable[[Calls], None], meter: Meter
    ) -> None:
        self._batch_size, self._most, self._post = batch_size, queue, post
        self._waiting: deque[Job] = deque()
        self._running = [0] * workers
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_per_job = 0.05
        self._meter = meter.of_engine(name, lambda: sum(self._running), lambda: len(self._waiting))
        self._threads = [
            threading.Thread(target=self._work, args=[n], name=f"{name}-{n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether all workers work."""
        return all(thread.is_alive() for thread in self._threads)

    def check_room(self) -> None:
        """Looks whether the queue takes a request now.

        Raises:
            FullError: it does not.
        """
        free = len(self._threads) * self._batch_size - sum(self._running)
        if len(self._waiting) >= self._most + max(0, free):
            raise FullError(max(1, math.ceil(len(self._waiting) * self._seconds_per_job)))

    def submit(self, jobs: list[Job]) -> None:
        """Takes the jobs of a request, all or none.

        Raises:
            FullError: the queue is full.
        """
        with self._changed:
            self.check_room()
            self._waiting.extend(jobs)
            self._changed.notify(len(jobs))

    def close(self) -> None:
        """Waits until all jobs are done, and ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        lanes: dict[Hashable, Lane] = {}
        while (coming := self._take(self._batch_size - _count(lanes), wait=not lanes)) is not None:
            self._running[number] = _count(lanes) + len(coming)
            joining: dict[Hashable, list[Job]] = {key: [] for key in lanes}
            for job in coming:
                joining.setdefault(job.key, []).append(job)
            for key, jobs in joining.items():
                try:
                    if key not in lanes:
                        lanes[key] = jobs[0].lane()
                    self._round(lanes[key], jobs)
                except Exception as error:
                    logger.exception("a batch failed")
                    lane = lanes.pop(key, None)
                    failed = dict.fromkeys([*(lane.jobs if lane is not None else ()), *jobs])
                    self._post([partial(job.end, error) for job in failed])
            lanes = {key: lane for key, lane in lanes.items() if lane.jobs}
            self._running[number] = _count(lanes)

    def _take(self, room: int, wait: bool) -> list[Job] | None:
        """What waits, as far as there is room, or None at the end; `wait` until there is something."""
        taken: list[Job] = []
        with self._changed:
            while wait and not (self._waiting or self._closed):
                self._changed.wait()
            while self._waiting and len(taken) < room:
                job = self._waiting.popleft()
                if not job.cancelled:
                    taken.append(job)
            if wait and not taken and not self._waiting and self._closed:
                return None
        now = time.perf_counter()
        for job in taken:
            job.taken = now
            self._meter.taken(now - job.came)
        return taken

    def _round(self, lane: Lane, coming: list[Job]) -> None:
        begin = time.perf_counter()
        done = lane.round(coming)
        now = time.perf_counter()
        calls: Calls = [partial(job.progress, ids) for job, ids in done.written if job.progress is not None]
        calls += [partial(job.end, _finished(job, found)) for job, found in done.found]
        if calls:
            self._post(calls)
        self._measure(done, begin, now)

    def _measure(self, done: Round, begin: float, now: float) -> None:
        if done.sources:
            places = len(done.sources) * max(done.sources)
            self._meter.batch(len(done.sources) / self._batch_size, sum(done.sources), places)
        if done.is_step:
            self._meter.step(now - begin)
        for job in done.first:
            self._meter.first_token(now - job.came)
        self._meter.wrote(done.tokens, len(done.found))
        for job, _ in done.found:
            share = (now - job.taken) / (self._batch_size * len(self._threads))
            self._seconds_per_job += 0.01 * (share - self._seconds_per_job)


def _count(lanes: dict[Hashable, Lane]) -> int:
    return sum(len(lane.jobs) for lane in lanes.values())


def _finished(job: Job, found: Found) -> Any:
    try:
        return job.finish(found)
    except Exception as error:
        logger.exception("an output could not be finished")
        return error
