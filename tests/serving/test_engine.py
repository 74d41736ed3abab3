"""The engine, with lanes that do what a test says."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from keras_s2s.runtime.feeds import Sentence
from keras_s2s.serving.engine import Engine, FullError
from keras_s2s.serving.jobs import Job, Round
from keras_s2s.serving.meter import Meter


@dataclass
class Lane:
    """Finishes a job after as many rounds as its source has ids; waits for a permit before each round, if told to.

    Attributes:
        rounds: who was in each round, by number.
    """

    permits: threading.Semaphore | None = None
    fails: bool = False
    rounds: list[list[int]] = field(default_factory=list)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    left: dict[Job, int] = field(default_factory=dict)

    @property
    def jobs(self) -> list[Job]:
        return list(self.left)

    def round(self, coming: list[Job]) -> Round:
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
    """Who submits jobs, and gets their results."""

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self._changed = threading.Condition()

    def post(self, calls: list[Callable[[], None]]) -> None:
        with self._changed:
            for call in calls:
                call()
            self._changed.notify_all()

    def wait(self, *numbers: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(numbers) <= set(self.results), timeout=30)

    def job(self, number: int, length: int, lane: Lane, key: str = "key") -> Job:
        def end(result: Any) -> None:
            assert number not in self.results, "answered twice"
            self.results[number] = result

        return Job(key, lambda: lane, Sentence([4] * length, number), str.upper, end)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def engines(owner: Owner) -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(workers: int = 1, batch_size: int = 4, queue: int = 100) -> Engine:
        made.append(Engine("steps", workers, batch_size, queue, owner.post, Meter()))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def test_a_job_joins_at_the_next_round_and_leaves_when_it_is_done(owner: Owner, engines: Any) -> None:
    lane, engine = Lane(permits=threading.Semaphore(0)), engines()
    assert lane.permits is not None
    engine.submit([owner.job(1, 3, lane)])
    assert lane.begun.acquire(timeout=30)
    engine.submit([owner.job(2, 1, lane)])
    lane.permits.release(3)
    owner.wait(1, 2)
    assert lane.rounds == [[1], [1, 2], [1]]
    assert owner.results == {1: "FOUND 1", 2: "FOUND 2"}


def test_no_more_jobs_than_a_batch_takes(owner: Owner, engines: Any) -> None:
    lane, engine = Lane(permits=threading.Semaphore(0)), engines(batch_size=2)
    assert lane.permits is not None
    engine.submit([owner.job(number, number, lane) for number in (1, 2, 3)])
    lane.permits.release(100)
    owner.wait(1, 2, 3)
    assert lane.rounds == [[1, 2], [2, 3], [3], [3]]


def test_jobs_of_other_keys_have_other_batches_and_take_turns(owner: Owner, engines: Any) -> None:
    one, other, engine = Lane(), Lane(), engines()
    engine.submit([owner.job(1, 2, one, "one"), owner.job(2, 2, other, "other"), owner.job(3, 1, one, "one")])
    owner.wait(1, 2, 3)
    assert one.rounds == [[1, 3], [1]]
    assert other.rounds == [[2], [2]]


def test_a_full_queue_refuses_and_says_when_to_come_again(owner: Owner, engines: Any) -> None:
    lane, engine = Lane(permits=threading.Semaphore(0)), engines(batch_size=1, queue=2)
    assert lane.permits is not None
    engine.submit([owner.job(1, 1, lane)])
    assert lane.begun.acquire(timeout=30)
    engine.submit([owner.job(2, 1, lane), owner.job(3, 1, lane)])
    with pytest.raises(FullError) as refused:
        engine.submit([owner.job(4, 1, lane)])
    assert refused.value.seconds >= 1
    lane.permits.release(3)
    owner.wait(1, 2, 3)
    assert set(owner.results) == {1, 2, 3}
    lane.permits.release()
    engine.submit([owner.job(5, 1, lane)])
    owner.wait(5)


def test_as_many_as_have_a_place_may_come_at_once(owner: Owner, engines: Any) -> None:
    lane, engine = Lane(permits=threading.Semaphore(0)), engines(batch_size=4, queue=2)
    assert lane.permits is not None
    engine.submit([owner.job(0, 1, lane)])
    assert lane.begun.acquire(timeout=30)
    for number in range(1, 6):
        engine.submit([owner.job(number, 1, lane)])
    with pytest.raises(FullError):
        engine.submit([owner.job(6, 1, lane)])
    lane.permits.release(100)
    owner.wait(*range(6))


def test_cancelled_jobs_leave_and_are_not_taken(owner: Owner, engines: Any) -> None:
    lane, engine = Lane(permits=threading.Semaphore(0)), engines(batch_size=1)
    assert lane.permits is not None
    running, waiting, last = (owner.job(number, 50, lane) for number in (1, 2, 3))
    last.item = Sentence([4], 3)
    engine.submit([running, waiting, last])
    assert lane.begun.acquire(timeout=30)
    running.cancelled = waiting.cancelled = True
    lane.permits.release(3)
    owner.wait(3)
    assert owner.results == {3: "FOUND 3"}
    assert lane.rounds == [[1], [], [3]]


def test_a_batch_that_fails_takes_nobody_else_with_it(owner: Owner, engines: Any) -> None:
    broken, whole, engine = Lane(fails=True), Lane(), engines()
    engine.submit(
        [owner.job(1, 1, broken, "broken"), owner.job(2, 1, whole, "whole"), owner.job(3, 1, broken, "broken")]
    )
    owner.wait(1, 2, 3)
    assert owner.results[2] == "FOUND 2"
    assert all(isinstance(owner.results[number], ValueError) for number in (1, 3))
    assert engine.alive
    engine.submit([owner.job(4, 1, whole, "whole")])
    owner.wait(4)


def test_an_output_that_cannot_be_finished_is_the_only_one(owner: Owner, engines: Any) -> None:
    lane, engine = Lane(), engines()
    odd, even = owner.job(1, 1, lane), owner.job(2, 1, lane)
    odd.finish = lambda found: found[100]
    engine.submit([odd, even])
    owner.wait(1, 2)
    assert isinstance(owner.results[1], IndexError)
    assert owner.results[2] == "FOUND 2"


def test_an_engine_finishes_what_it_has_taken_before_it_closes(owner: Owner, engines: Any) -> None:
    engine = engines(workers=2, batch_size=2)
    engine.submit([owner.job(number, 1 + number % 5, Lane(), str(number)) for number in range(50)])
    engine.close()
    assert set(owner.results) == set(range(50))
