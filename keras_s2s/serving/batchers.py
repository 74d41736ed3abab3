"""Continuous batching, a step at a time, and static batching, whole batches."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from keras_s2s.bundle import Decoding
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.steps import Batch, Steps
from keras_s2s.serving.jobs import Found, Round, ScheduledJob

_FREE = 4
"""At most one of so many places of a batch is free."""


class ContinuousBatcher:
    """Continuous batching: jobs join the batch at the next step and leave it when they are done.

    The place of a job that is done or cancelled is kept for who comes next, unless there are many: a step for a row
    that nobody needs costs less than to put all others together anew, twice.

    Args:
        steps: the graphs.
        decoding: options of all jobs; limits and prefixes are their own.
        suppressed: sequences of target ids that must not be written.
    """

    def __init__(self, steps: Steps, decoding: Decoding, suppressed: Sequence[Sequence[int]]) -> None:
        self._steps, self._decoding, self._suppressed = steps, decoding, suppressed
        self._jobs: dict[int, ScheduledJob] = {}
        self._numbers = itertools.count()
        self._batch: Batch | None = None

    @property
    def jobs(self) -> list[ScheduledJob]:
        """In the order in which they came."""
        return list(self._jobs.values())

    def round(self, coming: list[ScheduledJob]) -> Round:
        """One token more for each job."""
        self._jobs = {number: job for number, job in self._jobs.items() if not job.cancelled}
        self._exchange(coming)
        if self._batch is None:
            return Round([])
        self._batch = batch = self._steps.advance(self._batch)
        placed = [(place, self._jobs[s.number]) for place, s in enumerate(batch.sentences) if s.number in self._jobs]
        written = [(job, self._steps.written(batch, place)) for place, job in placed]
        finished, _ = self._steps.finished(batch, known=self._free(batch))
        found = [(self._jobs.pop(sentence.number), candidates) for sentence, candidates in finished]
        return Round(found, [len(job.item) for _, job in placed], len(placed), True, coming, written)

    def _exchange(self, coming: list[ScheduledJob]) -> None:
        """Those who come take free places, of long ago first, as padding is as long as the oldest place."""
        # Within the batcher a number says whose a sentence is.
        numbered = {next(self._numbers): job for job in coming}
        sentences = [replace(cast(Sentence, job.item), number=number) for number, job in numbered.items()]
        new = self._steps.start(sentences, self._decoding, self._suppressed) if sentences else None
        if self._batch is None:
            self._batch = new
        else:
            ages = self._batch.state["length"]
            leaving = sorted(self._free(self._batch), key=lambda place: -ages[place])
            if _FREE * (len(leaving) - len(coming)) <= len(self._batch) and self._jobs:
                leaving = leaving[: len(coming)]
            self._batch = self._steps.exchange(self._batch, leaving, new)
        self._jobs |= numbered

    def _free(self, batch: Batch) -> set[int]:
        """Places whose jobs are done or cancelled."""
        return {place for place, sentence in enumerate(batch.sentences) if sentence.number not in self._jobs}


class StaticBatcher:
    """Static batching: those who come are a batch, from its beginning to its end.

    Args:
        run: gives what it finds for each item of a batch.
        count: tells how many tokens were written of what was found.
    """

    def __init__(self, run: Callable[[list[Any]], Sequence[Found]], count: Callable[[Found], int]) -> None:
        self._run, self._count = run, count

    @property
    def jobs(self) -> list[ScheduledJob]:
        """None: a round leaves none behind."""
        return []

    def round(self, coming: list[ScheduledJob]) -> Round:
        """One batch."""
        batch = [job for job in coming if not job.cancelled]
        if not batch:
            return Round([])
        found = list(zip(batch, self._run([job.item for job in batch]), strict=True))
        return Round(found, [len(job.item) for job in batch], sum(self._count(one) for _, one in found))
