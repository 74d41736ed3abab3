"""What decodes the texts of many requests together."""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from keras_s2s.serving.jobs import Job, Lane, Round
from keras_s2s.serving.messages import Measure, Report

logger = logging.getLogger(__name__)


class Engine:
    """Takes jobs while its batches have room, and works on its lanes in turn.

    Args:
        name: in reports.
        room: the most jobs that it has at a time.
        coming: gives the jobs that came since it was called last; told to wait, it waits until something happens. None
            is the end.
        report: is told of rounds, as soon as one has given something that somebody waits for.
    """

    def __init__(
        self,
        name: str,
        room: int,
        coming: Callable[[bool], Sequence[Job] | None],
        report: Callable[[Report], None],
    ) -> None:
        self._name, self._room, self._coming, self._report = name, room, coming, report
        self._waiting: deque[Job] = deque()
        self._rounds: list[Measure] = []

    def run(self) -> None:
        """Works until the end comes, and leaves undone what is not done then."""
        lanes: dict[Hashable, Lane] = {}
        while (come := self._coming(not lanes and not self._waiting)) is not None:
            self._waiting.extend(come)
            joining: dict[Hashable, list[Job]] = {key: [] for key in lanes}
            for job in self._take(self._room - sum(len(lane.jobs) for lane in lanes.values())):
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
                    self._report(Report(self._name, [], [], [(job.number, repr(error)) for job in failed], []))
            lanes = {key: lane for key, lane in lanes.items() if lane.jobs}

    def _take(self, room: int) -> Iterator[Job]:
        """What waits, as far as there is room."""
        while self._waiting and room > 0:
            job = self._waiting.popleft()
            if not job.cancelled:
                room -= 1
                yield job

    def _round(self, lane: Lane, coming: list[Job]) -> None:
        bundle, begin = (lane.jobs or coming)[0].bundle, time.perf_counter()
        done = lane.round(coming)
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


def _measure(done: Round, begin: float, end: float, bundle: int) -> Measure:
    return Measure(
        texts=len(done.sources),
        real=sum(done.sources),
        places=len(done.sources) * max(done.sources, default=0),
        seconds=end - begin if done.is_step else None,
        first=[end - job.came for job in done.first],
        tokens=done.tokens,
        finished=len(done.found),
        bundle=bundle,
    )
