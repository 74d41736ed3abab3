"""Lanes of a real bundle: who joins when changes nothing of what is found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.graph import Candidates
from keras_s2s.serving.jobs import Job
from keras_s2s.serving.lanes import StepLane, WholeLane


def job(item: Any) -> Job:
    return Job(0, "key", lambda: pytest.fail("has a lane"), item, lambda found: found)


class Case:
    """Sentences, and what is found for each alone."""

    def __init__(self, bundle: Path, generator: Generator, texts: list[str], **options: Any) -> None:
        self.plan = generator.plan(options, prefixed=False)
        self.steps = Steps.of(generator.bundle, self.plan.graph, "int8", threads=1)
        sentences = generator.sentences(texts, [""] * len(texts), self.plan.options)
        self.jobs = [job(sentence) for sentence in sentences if sentence is not None]
        self.alone = [generator.search([one.item], self.plan)[0] for one in self.jobs]

    def lane(self) -> StepLane:
        return StepLane(self.steps, self.plan.options, self.plan.suppressed)

    def place(self, one: Job) -> int:
        return self.jobs.index(one)


def tokens(found: Candidates) -> list[tuple[int, ...]]:
    return [candidate.tokens for candidate in found]


@pytest.mark.parametrize(
    "options", [{"beam_size": 1}, {"beam_size": 4, "n_best": 3}, {"beam_size": 2, "no_repeat_ngram": 2}]
)
def test_joining_at_any_step_changes_nothing(
    stepwise_bundle: Path, generator: Generator, texts: Any, options: Any
) -> None:
    case = Case(stepwise_bundle, generator, texts(60, seed=8), **options)
    rng = np.random.default_rng(1)
    waiting, lane, found = list(case.jobs), case.lane(), dict[int, Candidates]()
    while waiting or lane.jobs:
        count = int(rng.integers(0, 5))
        coming, waiting = waiting[:count], waiting[count:]
        found |= {id(one): candidates for one, candidates in lane.round(coming).found}
    assert len(found) == len(case.jobs)
    for one, alone in zip(case.jobs, case.alone, strict=True):
        assert tokens(found[id(one)]) == tokens(alone)


def test_a_long_sentence_does_not_hold_a_short_one(stepwise_bundle: Path, generator: Generator, texts: Any) -> None:
    case = Case(stepwise_bundle, generator, texts(40, seed=9), beam_size=1)
    lengths = [len(best.tokens) for best, *_ in case.alone]
    long, short = case.jobs[int(np.argmax(lengths))], case.jobs[int(np.argmin(lengths))]
    assert max(lengths) > min(lengths) + 5
    lane = case.lane()
    assert lane.round([long]).found == []
    rounds = 1
    while not (found := lane.round([short] if rounds == 1 else []).found):
        rounds += 1
    assert [one for one, _ in found] == [short]
    assert rounds == min(lengths) + 1
    assert lane.jobs == [long]


def test_who_is_cancelled_leaves_and_the_others_do_not_notice(
    stepwise_bundle: Path, generator: Generator, texts: Any
) -> None:
    case = Case(stepwise_bundle, generator, texts(24, seed=10), beam_size=4)
    lane, found = case.lane(), dict[int, Candidates]()
    rounds = 0
    gone: set[int] = set()
    while lane.jobs or not rounds:
        result = lane.round(case.jobs if not rounds else [])
        found |= {id(one): candidates for one, candidates in result.found}
        rounds += 1
        if rounds in (2, 5) and lane.jobs:
            lane.jobs[1].cancelled = True
            gone.add(id(lane.jobs[1]))
    assert len(gone) == 2
    assert gone.isdisjoint(found)
    for one, alone in zip(case.jobs, case.alone, strict=True):
        assert id(one) in gone or tokens(found[id(one)]) == tokens(alone)


def test_what_was_written_so_far_is_told_to_who_asks(stepwise_bundle: Path, generator: Generator, texts: Any) -> None:
    case = Case(stepwise_bundle, generator, texts(8, seed=11), beam_size=1)
    asking = case.jobs[::2]
    for one in asking:
        one.progress = lambda ids: None
    lane, told = case.lane(), dict[int, list[list[int]]]()
    first = True
    while lane.jobs or first:
        for one, ids in lane.round(case.jobs if first else []).written:
            told.setdefault(id(one), []).append(ids)
        first = False
    assert set(told) == set(map(id, asking))
    for one in asking:
        whole = list(case.alone[case.place(one)][0].tokens)
        assert told[id(one)] == [whole[:count] for count in range(1, len(whole) + 1)] + [whole]


def test_whole_batches_are_of_like_length_and_the_oldest_is_in_the_first() -> None:
    batches: list[list[int]] = []

    def search(items: list[list[int]]) -> list[int]:
        batches.append([len(item) for item in items])
        return [len(item) for item in items]

    lane = WholeLane(search, count=lambda found: found, batch_size=3)
    jobs = [job([4] * length) for length in (5, 20, 6, 1, 21, 7)]
    rounds = [lane.round(jobs), lane.round([]), lane.round([])]
    assert batches == [[5, 6, 7], [20, 21, 1]]
    assert [one.tokens for one in rounds] == [18, 42, 0]
    assert {id(one): found for done in rounds for one, found in done.found} == {id(one): len(one.item) for one in jobs}
    assert lane.jobs == []


def test_a_whole_batch_that_fails_keeps_its_jobs() -> None:
    def search(items: list[list[int]]) -> list[int]:
        raise ValueError("broken")

    lane = WholeLane(search, count=lambda found: found, batch_size=3)
    jobs = [job([4] * length) for length in (5, 6)]
    with pytest.raises(ValueError, match="broken"):
        lane.round(jobs)
    assert set(map(id, lane.jobs)) == set(map(id, jobs))
