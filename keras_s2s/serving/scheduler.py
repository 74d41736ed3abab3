"""The scheduler of a worker: it forms batches of the jobs of many requests."""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from keras_s2s.serving.jobs import Batcher, Round, ScheduledJob
from keras_s2s.serving.messages import Report, RoundMetrics

logger = logging.getLogger(__name__)


class Scheduler:
    """Admits jobs while its batches have room, and gives each batcher a round in turn.

    Args:
        name: in reports.
        capacity: the most jobs that it has at a time.
        coming: gives the jobs that came since it was called last; told to wait, it waits until something happens. None
            is the end.
        report: is told of rounds, as soon as one has given something that somebody waits for.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        coming: Callable[[bool], Sequence[ScheduledJob] | None],
        report: Callable[[Report], None],
    ) -> None:
        self._name, self._capacity, self._coming, self._report = name, capacity, coming, report
        self._waiting: deque[ScheduledJob] = deque()
        self._rounds: list[RoundMetrics] = []

    def run(self) -> None:
        """Runs until the end comes; what is not done then is left undone."""
        batchers: dict[Hashable, Batcher] = {}
        while (come := self._coming(not batchers and not self._waiting)) is not None:
            self._waiting.extend(come)
            joining: dict[Hashable, list[ScheduledJob]] = {key: [] for key in batchers}
            for job in self._take(self._capacity - sum(len(batcher.jobs) for batcher in batchers.values())):
                joining.setdefault(job.key, []).append(job)
            for key, jobs in joining.items():
                try:
                    if key not in batchers:
                        batchers[key] = jobs[0].batcher()
                    self._round(batchers[key], jobs)
                except Exception as error:
                    logger.exception("a batch failed")
                    batcher = batchers.pop(key, None)
                    failed = dict.fromkeys([*(batcher.jobs if batcher is not None else ()), *jobs])
                    self._report(Report(self._name, [], [], [(job.number, repr(error)) for job in failed], []))
            batchers = {key: batcher for key, batcher in batchers.items() if batcher.jobs}

    def _take(self, room: int) -> Iterator[ScheduledJob]:
        """Jobs that waited, as many as there is room for."""
        while self._waiting and room > 0:
            job = self._waiting.popleft()
            if not job.cancelled:
                room -= 1
                yield job

    def _round(self, batcher: Batcher, coming: list[ScheduledJob]) -> None:
        bundle, begin = (batcher.jobs or coming)[0].bundle, time.perf_counter()
        done = batcher.round(coming)
        self._rounds.append(_measure(done, begin, time.perf_counter(), bundle))
        ended: list[tuple[int, Any]] = []
        failed: list[tuple[int, str]] = []
        for job, found in done.found:
            try:
                ended.append((job.number, job.finish(found)))
            except Exception as error:
                logger.exception("an output could not be finished")
                failed.append((job.number, repr(error)))
        written = [(job.number, ids) for job, ids in done.written]
        if written or ended or failed:
            rounds, self._rounds = self._rounds, []
            self._report(Report(self._name, written, ended, failed, rounds))


def _measure(done: Round, begin: float, end: float, bundle: int) -> RoundMetrics:
    return RoundMetrics(
        texts=len(done.sources),
        real=sum(done.sources),
        places=len(done.sources) * max(done.sources, default=0),
        seconds=end - begin if done.is_step else None,
        first=[end - job.came for job in done.first],
        tokens=done.tokens,
        finished=len(done.found),
        bundle=bundle,
    )
