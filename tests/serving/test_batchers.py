"""Lanes of a real bundle: who joins when changes nothing of what is found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.graph import Candidates
from keras_s2s.serving.batchers import ContinuousBatcher, StaticBatcher
from keras_s2s.serving.jobs import ScheduledJob


def job(item: Any) -> ScheduledJob:
    return ScheduledJob(0, "key", lambda: pytest.fail("has a batcher"), item, lambda found: found)


class Case:
    """Sentences, and what is found for each alone."""

    def __init__(self, bundle: Path, generator: Generator, texts: list[str], **options: Any) -> None:
        self.plan = generator.plan(options, prefixed=False)
        self.steps = Steps.of(generator.bundle, self.plan.graph, "int8", threads=1)
        sentences = generator.sentences(texts, [""] * len(texts), self.plan.options)
        self.jobs = [job(sentence) for sentence in sentences if sentence is not None]
        self.alone = [generator.search([one.item], self.plan)[0] for one in self.jobs]

    def batcher(self) -> ContinuousBatcher:
        return ContinuousBatcher(self.steps, self.plan.options, self.plan.suppressed)

    def place(self, one: ScheduledJob) -> int:
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
    waiting, batcher, found = list(case.jobs), case.batcher(), dict[int, Candidates]()
    while waiting or batcher.jobs:
        count = int(rng.integers(0, 5))
        coming, waiting = waiting[:count], waiting[count:]
        found |= {id(one): candidates for one, candidates in batcher.round(coming).found}
    assert len(found) == len(case.jobs)
    for one, alone in zip(case.jobs, case.alone, strict=True):
        assert tokens(found[id(one)]) == tokens(alone)


def test_scores_come_to_who_reads_them_whoever_shares_the_batch(
    stepwise_bundle: Path, generator: Generator, texts: Any
) -> None:
    case = Case(stepwise_bundle, generator, texts(30, seed=12), beam_size=1)
    readers, others = case.jobs[::2], case.jobs[1::2]
    for one in others:
        one.item = replace(one.item, scores=False)
    batcher, found, rounds = case.batcher(), dict[int, Candidates](), 0
    coming = {0: others[:5], 2: readers, 4: others[5:]}
    while batcher.jobs or rounds < max(coming):
        found |= {id(one): candidates for one, candidates in batcher.round(coming.get(rounds, [])).found}
        rounds += 1
    for one, alone in zip(case.jobs, case.alone, strict=True):
        assert tokens(found[id(one)]) == tokens(alone)
    for one in readers:
        (ours,), (theirs,) = found[id(one)], case.alone[case.place(one)]
        assert ours.score == pytest.approx(theirs.score, abs=1e-2)


def test_without_a_reader_there_are_no_scores(stepwise_bundle: Path, generator: Generator, texts: Any) -> None:
    case = Case(stepwise_bundle, generator, texts(4, seed=13), beam_size=1, scores=False)
    batcher = case.batcher()
    found = batcher.round(case.jobs).found
    while batcher.jobs:
        found += batcher.round([]).found
    assert {(best.score, *best.token_scores) for _, (best,) in found} == {
        (0.0,) * (2 + len(best.tokens)) for _, (best,) in found
    }


def test_a_long_sentence_does_not_hold_a_short_one(stepwise_bundle: Path, generator: Generator, texts: Any) -> None:
    case = Case(stepwise_bundle, generator, texts(40, seed=9), beam_size=1)
    lengths = [len(best.tokens) for best, *_ in case.alone]
    long, short = case.jobs[int(np.argmax(lengths))], case.jobs[int(np.argmin(lengths))]
    assert max(lengths) > min(lengths) + 5
    batcher = case.batcher()
    assert batcher.round([long]).found == []
    rounds = 1
    while not (found := batcher.round([short] if rounds == 1 else []).found):
        rounds += 1
    assert [one for one, _ in found] == [short]
    assert rounds == min(lengths) + 1
    assert batcher.jobs == [long]


def test_who_is_cancelled_leaves_and_the_others_do_not_notice(
    stepwise_bundle: Path, generator: Generator, texts: Any
) -> None:
    case = Case(stepwise_bundle, generator, texts(24, seed=10), beam_size=4)
    batcher, found = case.batcher(), dict[int, Candidates]()
    rounds = 0
    gone: set[int] = set()
    while batcher.jobs or not rounds:
        result = batcher.round(case.jobs if not rounds else [])
        found |= {id(one): candidates for one, candidates in result.found}
        rounds += 1
        if rounds in (2, 5) and batcher.jobs:
            batcher.jobs[1].cancelled = True
            gone.add(id(batcher.jobs[1]))
    assert len(gone) == 2
    assert gone.isdisjoint(found)
    for one, alone in zip(case.jobs, case.alone, strict=True):
        assert id(one) in gone or tokens(found[id(one)]) == tokens(alone)


def test_what_was_written_so_far_is_told(stepwise_bundle: Path, generator: Generator, texts: Any) -> None:
    case = Case(stepwise_bundle, generator, texts(8, seed=11), beam_size=1)
    batcher, told = case.batcher(), dict[int, list[list[int]]]()
    first = True
    while batcher.jobs or first:
        for one, ids in batcher.round(case.jobs if first else []).written:
            told.setdefault(id(one), []).append(ids)
        first = False
    assert set(told) == set(map(id, case.jobs))
    for one in case.jobs:
        whole = list(case.alone[case.place(one)][0].tokens)
        assert told[id(one)] == [whole[:count] for count in range(1, len(whole) + 1)] + [whole]


def test_a_whole_batch_is_those_who_come() -> None:
    batches: list[list[int]] = []

    def search(items: list[list[int]]) -> list[int]:
        batches.append([len(item) for item in items])
        return [len(item) for item in items]

    batcher = StaticBatcher(search, count=lambda found: found)
    jobs = [job([4] * length) for length in (5, 20, 6, 1)]
    jobs[2].cancelled = True
    rounds = [batcher.round(jobs[:3]), batcher.round(jobs[3:]), batcher.round([]), batcher.round(jobs[2:3])]
    assert batches == [[5, 20], [1]]
    assert [one.tokens for one in rounds] == [25, 1, 0, 0]
    assert [(id(one), found) for done in rounds for one, found in done.found] == [
        (id(jobs[place]), len(jobs[place].item)) for place in (0, 1, 3)
    ]
    assert batcher.jobs == []
