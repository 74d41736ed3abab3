"""Jobs as a scheduler has them, and the protocol of its batchers."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.targets import Pair

Found = Any
"""The result of a job, before it is made ready for the server."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class ScheduledJob:
    """A job that a scheduler has: one text of a request, or one pair to score.

    Attributes:
        number: by which the scheduler reports of it.
        key: jobs of the same key may be decoded together.
        batcher: makes a batcher for jobs of this key.
        item: the text as ids.
        finish: makes the reported result of what the batcher found.
        came: when the request came; seconds of `time.perf_counter`.
        cancelled: nobody waits for it any more.
        bundle: the number of the one that it needs; jobs of the same key need the same.
    """

    number: int
    key: Hashable
    batcher: Callable[[], "Batcher"]
    item: Sentence | Pair
    finish: Callable[[Found], Any]
    came: float = 0.0
    cancelled: bool = False
    bundle: int = 0


class Batcher(Protocol):
    """Decodes jobs of one key together.

    Attributes:
        jobs: those that are on their way.
    """

    @property
    def jobs(self) -> list[ScheduledJob]: ...

    def round(self, coming: list[ScheduledJob]) -> "Round":
        """Takes jobs in, does a piece of the work, and gives those that are done. Cancelled ones leave."""


@dataclass(frozen=True)
class Round:
    """The results of one piece of work of a batcher.

    Attributes:
        found: of each job that is done what was found.
        sources: source tokens of each job of the batch.
        tokens: how many were written, ends counted.
        is_step: whether each job of the batch has one token more.
        first: jobs that have their first token now.
        written: of each job the ids that it has so far, if they are to be told.
    """

    found: list[tuple[ScheduledJob, Found]]
    sources: list[int] = field(default_factory=list)
    tokens: int = 0
    is_step: bool = False
    first: list[ScheduledJob] = field(default_factory=list)
    written: list[tuple[ScheduledJob, list[int]]] = field(default_factory=list)
