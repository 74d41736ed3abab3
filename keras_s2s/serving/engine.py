"""A thread of a worker that decodes the texts of many requests together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from keras_s2s.serving.jobs import Job, Lane, Round
from keras_s2s.serving.messages import Measure, Report

logger = logging.getLogger(__name__)


class Engine:
    """Takes jobs while its batches have room, and works on its lanes in turn.

    Args:
        name: in reports.
        room: the most jobs that it has at a time.
        report: is told of rounds, as soon as one has given something that somebody waits for.
    """

    def __init__(self, name: str, room: int, report: Callable[[Report], None]) -> None:
        self._name, self._room, self._report = name, room, report
        self._waiting: deque[Job] = deque()
        self._came = threading.Condition()
        self._rounds: list[Measure] = []
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, jobs: Iterable[Job]) -> None:
        """Takes jobs, which join at the next round that has room for them."""
        with self._came:
            self._waiting.extend(jobs)
            self._came.notify()

    def _work(self) -> None:
        lanes: dict[Hashable, Lane] = {}
        while True:
            coming = self._take(self._room - sum(len(lane.jobs) for lane in lanes.values()), wait=not lanes)
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
                    self._report(Report(self._name, [], [], [(job.number, repr(error)) for job in failed], []))
            lanes = {key: lane for key, lane in lanes.items() if lane.jobs}

    def _take(self, room: int, wait: bool) -> list[Job]:
        """What waits, as far as there is room; `wait` until there is something."""
        taken: list[Job] = []
        with self._came:
            while wait and not self._waiting:
                self._came.wait()
            while self._waiting and len(taken) < room:
                job = self._waiting.popleft()
                if not job.cancelled:
                    taken.append(job)
        return taken

    def _round(self, lane: Lane, coming: list[Job]) -> None:
        begin = time.perf_counter()
        done = lane.round(coming)
        self._rounds.append(_measure(done, begin, time.perf_counter()))
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


def _measure(done: Round, begin: float, end: float) -> Measure:
    return Measure(
        texts=len(done.sources),
        real=sum(done.sources),
        places=len(done.sources) * max(done.sources, default=0),
        seconds=end - begin if done.is_step else None,
        first=[end - job.came for job in done.first],
        tokens=done.tokens,
        finished=len(done.found),
    )
