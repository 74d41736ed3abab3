"""Messages between the server and its workers, which are processes: lines of JSON, one for each message."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.runtime import Hypothesis
from keras_s2s.runtime.scoring import Scored

SCHEDULERS = ("steps", "whole")
"""The schedulers of a worker: of texts whose outputs are told as they are written, and of all else."""


class WorkerOptions(NamedTuple):
    """Options of a worker.

    Attributes:
        precision: which of a bundle's graphs; None is the one that suits the provider.
        threads: of an operator.
        batch_size: the most texts of a batch.
        provider: of onnxruntime, a name of `PROVIDERS`.
    """

    precision: str | None
    threads: int
    batch_size: int
    provider: str


class Load(NamedTuple):
    """To a worker: load the bundle in a folder, by whose number jobs name it."""

    bundle: int
    folder: str


class Forget(NamedTuple):
    """To a worker: no job names this bundle any more."""

    bundle: int


class Generate(NamedTuple):
    """To a worker: generate for a text.

    Attributes:
        number: of the job, its own.
        bundle: its number.
        scheduler: the one that decodes it, "steps" or "whole"; "steps" tells what was written so far.
        came: when the request came; seconds of `time.perf_counter`, which is the same for all processes.
        options: of a call of a `Generator`.
        prefixed: as `Generator.plan`.
        text: the source.
        sentence: its ids, number, prefix and limit, and whether its scores are read; a `Sentence`.
    """

    number: int
    bundle: int
    scheduler: str
    came: float
    options: dict[str, Any]
    prefixed: bool
    text: str
    sentence: tuple[Any, ...]


class Score(NamedTuple):
    """To a worker: score a target; its fields are those of `Generate`, and ids of both sides with EOS."""

    number: int
    bundle: int
    scheduler: str
    came: float
    source: list[int]
    target: list[int]


class Cancel(NamedTuple):
    """To a worker: nobody waits for these jobs any more."""

    numbers: list[int]


class LoadDone(NamedTuple):
    """From a worker: a bundle is loaded, or why it cannot be."""

    bundle: int
    error: str | None


class RoundMetrics(NamedTuple):
    """Counts and times of one round of a scheduler.

    Attributes:
        texts: of the batch.
        real: its source tokens.
        places: source tokens, padding counted.
        seconds: of a step; None where batches begin and end at once.
        first: of each text that has its first token now, the seconds since it came.
        tokens: how many were written, ends counted.
        finished: texts.
        bundle: the number of the one that it was done with.
    """

    texts: int
    real: int
    places: int
    seconds: float | None
    first: list[float]
    tokens: int
    finished: int
    bundle: int = 0


class Report(NamedTuple):
    """From a worker: what a scheduler did since its last report.

    Attributes:
        scheduler: its name.
        written: jobs that want to know it, and the ids that each has so far.
        ended: jobs, and what was found for each, as `packed_hypotheses` or `packed_score` give it.
        failed: jobs, and why.
        rounds: a `RoundMetrics` of each.
    """

    scheduler: str
    written: list[tuple[int, list[int]]]
    ended: list[tuple[int, Any]]
    failed: list[tuple[int, str]]
    rounds: list[RoundMetrics]


Job = Generate | Score
"""One text of a request, or one pair to score."""

Message = Load | Forget | Job | Cancel | LoadDone | Report
_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Load, Forget, Generate, Score, Cancel, LoadDone, Report)}


def packed(message: Message) -> bytes:
    """A message as it is sent."""
    return json.dumps((type(message).__name__, *message), separators=(",", ":")).encode() + b"\n"


class Unpacker:
    """Makes messages of bytes, however they are cut."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def __call__(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._begun.append(line)
            name, *fields = json.loads(b"".join(self._begun))
            self._begun.clear()
            yield _KINDS[name](*fields)
        if rest:
            self._begun.append(rest)


def packed_hypotheses(found: list[Hypothesis]) -> list[tuple[Any, ...]]:
    """Hypotheses for a report."""
    return [
        (h.text, h.tokens, h.score, h.token_scores, None if h.alignment is None else h.alignment.tolist(), h.finished)
        for h in found
    ]


def hypotheses(reported: list[Any]) -> list[Hypothesis]:
    """Hypotheses of a report, as they were."""
    return [
        Hypothesis(
            text, tuple(tokens), score, tuple(scores), None if looked is None else np.array(looked, "float32"), finished
        )
        for text, tokens, score, scores, looked, finished in reported
    ]


def packed_score(one: Scored) -> tuple[Any, ...]:
    """A score for a report."""
    return one.log_probability, one.token_scores


def scored(reported: list[Any]) -> Scored:
    """A score of a report, as it was."""
    log_probability, token_scores = reported
    return Scored(log_probability, tuple(token_scores))
