"""The scheduler, with batchers that do as a test says."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import pytest

from keras_s2s.runtime.feeds import Sentence
from keras_s2s.serving.jobs import Round, ScheduledJob
from keras_s2s.serving.messages import Report
from keras_s2s.serving.scheduler import Scheduler


@dataclass
class Batcher:
    """Finishes a job after as many rounds as its source has ids; waits for a permit before each round, if told to.

    Attributes:
        rounds: who was in each round, by number.
    """

    permits: threading.Semaphore | None = None
    fails: bool = False
    rounds: list[list[int]] = field(default_factory=list)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    left: dict[ScheduledJob, int] = field(default_factory=dict)

    @property
    def jobs(self) -> list[ScheduledJob]:
        return list(self.left)

    def round(self, coming: list[ScheduledJob]) -> Round:
        self.left = {job: n for job, n in self.left.items() if not job.cancelled}
        self.left |= {job: len(job.item) for job in coming}
        self.rounds.append([job.item.number for job in self.left])  # type: ignore[union-attr]
        self.begun.release()
        if self.permits is not None:
            assert self.permits.acquire(timeout=30)
        if self.fails:
            raise ValueError("broken")
        self.left = {job: n - 1 for job, n in self.left.items()}
        done = [job for job, n in self.left.items() if not n]
        for job in done:
            del self.left[job]
        return Round([(job, f"found {job.item.number}") for job in done])  # type: ignore[union-attr]


class Owner:
    """Who gives jobs to schedulers, and gets their reports."""

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self.failed: dict[int, str] = {}
        self.reports: list[Report] = []
        self._changed = threading.Condition()

    def report(self, report: Report) -> None:
        with self._changed:
            self.reports.append(report)
            for number, _ in (*report.ended, *report.failed):
                assert number not in {*self.results, *self.failed}, "answered twice"
            self.results.update(report.ended)
            self.failed.update(report.failed)
            self._changed.notify_all()

    def wait(self, *numbers: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(numbers) <= {*self.results, *self.failed}, timeout=30)

    def scheduler(self, *jobs: ScheduledJob, capacity: int = 4) -> Callable[..., None]:
        """Starts an scheduler with these jobs, and gives what gives it further ones."""
        queue = SimpleQueue[Sequence[ScheduledJob]]()
        queue.put(jobs)
        scheduler = Scheduler(
            "steps", capacity, lambda wait: () if queue.empty() and not wait else queue.get(), self.report
        )
        threading.Thread(target=scheduler.run, daemon=True).start()
        return lambda *others: queue.put(others)


def job(number: int, length: int, batcher: Batcher, key: str = "key") -> ScheduledJob:
    return ScheduledJob(number, key, lambda: batcher, Sentence([4] * length, number), str.upper)


@pytest.fixture
def owner() -> Owner:
    return Owner()


def test_a_job_joins_at_the_next_round_and_leaves_when_it_is_done(owner: Owner) -> None:
    batcher = Batcher(permits=threading.Semaphore(0))
    assert batcher.permits is not None
    give = owner.scheduler(job(1, 3, batcher))
    assert batcher.begun.acquire(timeout=30)
    give(job(2, 1, batcher))
    batcher.permits.release(3)
    owner.wait(1, 2)
    assert batcher.rounds == [[1], [1, 2], [1]]
    assert owner.results == {1: "FOUND 1", 2: "FOUND 2"}


def test_no_more_jobs_than_there_is_room_for(owner: Owner) -> None:
    batcher = Batcher()
    owner.scheduler(*(job(number, number, batcher) for number in (1, 2, 3)), capacity=2)
    owner.wait(1, 2, 3)
    assert batcher.rounds == [[1, 2], [2, 3], [3], [3]]


def test_jobs_of_other_keys_have_other_batches_and_take_turns(owner: Owner) -> None:
    one, other = Batcher(), Batcher()
    owner.scheduler(job(1, 2, one, "one"), job(2, 2, other, "other"), job(3, 1, one, "one"))
    owner.wait(1, 2, 3)
    assert one.rounds == [[1, 3], [1]]
    assert other.rounds == [[2], [2]]


def test_cancelled_jobs_leave_and_are_not_taken(owner: Owner) -> None:
    batcher = Batcher(permits=threading.Semaphore(0))
    assert batcher.permits is not None
    running, waiting, last = job(1, 50, batcher), job(2, 50, batcher), job(3, 1, batcher)
    owner.scheduler(running, waiting, last, capacity=1)
    assert batcher.begun.acquire(timeout=30)
    running.cancelled = waiting.cancelled = True
    batcher.permits.release(3)
    owner.wait(3)
    assert owner.results == {3: "FOUND 3"}
    assert batcher.rounds == [[1], [], [3]]


def test_a_batch_that_fails_takes_nobody_else_with_it(owner: Owner) -> None:
    broken, whole = Batcher(fails=True), Batcher()
    give = owner.scheduler(job(1, 1, broken, "broken"), job(2, 1, whole, "whole"), job(3, 1, broken, "broken"))
    owner.wait(1, 2, 3)
    assert owner.results == {2: "FOUND 2"}
    assert owner.failed == dict.fromkeys((1, 3), "ValueError('broken')")
    give(job(4, 1, whole, "whole"))
    owner.wait(4)
    assert owner.results[4] == "FOUND 4"


def test_an_output_that_cannot_be_finished_is_the_only_one(owner: Owner) -> None:
    batcher = Batcher()
    odd, even = job(1, 1, batcher), job(2, 1, batcher)
    odd.finish = lambda found: found[100]
    owner.scheduler(odd, even)
    owner.wait(1, 2)
    assert owner.failed == {1: "IndexError('string index out of range')"}
    assert owner.results == {2: "FOUND 2"}


def test_every_round_is_reported_once(owner: Owner) -> None:
    batcher = Batcher()
    owner.scheduler(job(1, 3, batcher), job(2, 5, batcher))
    owner.wait(1, 2)
    assert [[measure.finished for measure in report.rounds] for report in owner.reports] == [[0, 0, 1], [0, 1]]
