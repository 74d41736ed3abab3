"""The pool, with workers that do nothing by themselves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keras_s2s.errors import UserError
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.messages import Message, Report, Score, WorkerOptions
from keras_s2s.serving.metrics import Metrics
from keras_s2s.serving.pool import Pool
from keras_s2s.serving.process import SubmittedJob, WorkerLostError, WorkerProcess


class Worker(WorkerProcess):
    """Notes what it is told.

    Attributes:
        told: it.
        closed: whether it was ended.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: list[Message] = []
        self.closed = False

    def _send(self, *messages: Message) -> None:
        self.told += messages

    async def load(self, bundle: int, folder: str) -> None:
        if folder == "spoilt":
            raise UserError("spoilt")
        if folder == "deadly":
            self.die()
            raise WorkerLostError
        self.bundles.add(bundle)

    async def close(self) -> None:
        self.closed = True

    def die(self) -> None:
        self.connection_lost(None)

    def answer(self, number: int) -> None:
        """Reports that a job is done."""
        scheduler = self.jobs[number].job.scheduler if number in self.jobs else "steps"
        self._report(self, Report(scheduler, [], [(number, f"found {number}")], [], []))

    @property
    def works_on(self) -> list[int]:
        return list(self.jobs)


class House:
    """A pool and its workers, the lost ones too; what came of each job, by its number."""

    def __init__(self, workers: int, batch_size: int, queue: int) -> None:
        self.workers: list[Worker] = []
        self.results: dict[int, Any] = {}
        self.pool = Pool(workers, WorkerOptions("int8", 1, batch_size, "cpu"), queue, Metrics(), self._start)

    async def _start(self, options: WorkerOptions, *arguments: Any) -> WorkerProcess:
        self.workers.append(Worker(*arguments))
        return self.workers[-1]

    def job(self, scheduler: str) -> SubmittedJob:
        number = self.pool.number()

        def end(result: Any) -> None:
            assert number not in self.results, "answered twice"
            self.results[number] = result

        return SubmittedJob(Score(number, 0, scheduler, 0.0, [4, 2], [4, 2]), end)

    def submit(self, count: int, scheduler: str = "steps") -> list[SubmittedJob]:
        jobs = [self.job(scheduler) for _ in range(count)]
        self.pool.submit(jobs)
        return jobs


def in_house(workers: int, batch_size: int, queue: int) -> Callable[[Callable[[House], Awaitable[None]]], Any]:
    """Makes a test of what happens in a house on an event loop."""

    def wrap(happens: Callable[[House], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            async def run() -> None:
                house = House(workers, batch_size, queue)
                await house.pool.start()
                await happens(house)
                await house.pool.close()

            asyncio.run(run())

        return test

    return wrap


@in_house(workers=2, batch_size=2, queue=10)
async def test_who_has_most_room_gets_the_next_one(house: House) -> None:
    house.submit(7)
    one, other = house.workers
    assert (one.works_on, other.works_on) == ([0, 2], [1, 3])
    other.answer(1)
    assert (one.works_on, other.works_on) == ([0, 2], [3, 4])
    one.answer(2)
    one.answer(0)
    assert (one.works_on, other.works_on) == ([5, 6], [3, 4])
    assert house.results == {number: f"found {number}" for number in (1, 2, 0)}


@in_house(workers=2, batch_size=3, queue=10)
async def test_a_whole_batch_is_given_to_who_is_idle(house: House) -> None:
    jobs = house.submit(8, "whole")
    one, other = house.workers
    assert (one.works_on, other.works_on) == ([0, 1, 2], [3, 4, 5])
    house.submit(1, "whole")
    house.pool.cancel([jobs[6]])
    for number in (3, 0, 4):
        house.workers[number // 3].answer(number)
    assert (one.works_on, other.works_on) == ([1, 2], [5])
    other.answer(5)
    assert (one.works_on, other.works_on) == ([1, 2], [7, 8])


@in_house(workers=2, batch_size=3, queue=10)
async def test_who_is_idle_shares_what_waits(house: House) -> None:
    house.submit(3, "whole")
    assert [worker.works_on for worker in house.workers] == [[0, 1], [2]]
    house.submit(1)
    assert [worker.works_on for worker in house.workers] == [[0, 1, 3], [2]], "steps go on beside whole batches"


@in_house(workers=1, batch_size=1, queue=2)
async def test_a_full_queue_refuses_and_says_when_to_come_again(house: House) -> None:
    house.submit(1)
    house.submit(2)
    with pytest.raises(HTTPProblem) as refused:
        house.submit(1)
    assert refused.value.status == 429
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    house.workers[0].answer(0)
    house.submit(1)


@in_house(workers=2, batch_size=2, queue=1)
async def test_as_many_as_have_a_place_may_come_at_once(house: House) -> None:
    for _ in range(5):
        house.submit(1)
    with pytest.raises(HTTPProblem):
        house.submit(1)


@in_house(workers=1, batch_size=1, queue=10)
async def test_who_does_not_wait_any_more_makes_room(house: House) -> None:
    running, waiting, _ = house.submit(3)
    (worker,) = house.workers
    house.pool.cancel([waiting])
    assert worker.works_on == [0]
    house.pool.cancel([running])
    assert worker.works_on == [2]
    assert [type(message).__name__ for message in worker.told] == ["Score", "Cancel", "Score"]
    worker.answer(0)  # It was on its way.
    worker.answer(2)
    assert house.results == {2: "found 2"}


@in_house(workers=2, batch_size=1, queue=10)
async def test_a_lost_worker_takes_its_own_with_it_and_another_takes_its_place(house: House) -> None:
    await house.pool.load(7, "folder")
    house.submit(3)
    lost, stays = house.workers
    lost.die()
    assert house.pool.alive
    assert [*house.results] == [0]
    assert house.results[0].status == 503
    await asyncio.gather(*house.pool._starting)
    *_, new = house.workers
    assert lost.closed
    assert new.bundles == {7}
    assert (stays.works_on, new.works_on) == ([1], [2])


@in_house(workers=2, batch_size=1, queue=10)
async def test_a_bundle_that_cannot_be_loaded_is_forgotten(house: House) -> None:
    with pytest.raises(UserError, match="spoilt"):
        await house.pool.load(1, "spoilt")
    house.workers[0].die()
    await asyncio.gather(*house.pool._starting)
    assert house.pool.alive


@in_house(workers=2, batch_size=1, queue=10)
async def test_a_bundle_that_no_worker_survives_is_told(house: House) -> None:
    with pytest.raises(UserError, match="no worker could load it"):
        await house.pool.load(1, "deadly")
