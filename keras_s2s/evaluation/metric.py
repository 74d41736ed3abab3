"""The type of a metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics.base import Metric as SacreMetric

Counts = Callable[[Sequence[str], Sequence[str]], np.ndarray]
Words = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Metric:
    """A corpus metric with one reference a line.

    Attributes:
        name: the word that a task names it by, and its key in a result.
        function: `(hypotheses, references) -> {name: value}`, values in percent.
        sentence: `(hypothesis, reference) -> value`, of one line alone.
        higher_is_better: False for error rates.
        signature: how sacrebleu names its settings, so that a number can be reproduced; None where there are
            no settings.
        counts: of a metric that is a ratio of sums over lines, its terms: `(hypotheses, references) -> (N,2)`, what
            a line adds above and below the fraction line.
        scorer: of a metric of sacrebleu, what makes sacrebleu's own object.
        words: of a metric that compares words, how it divides a line into them.
    """

    name: str
    function: Callable[[Sequence[str], Sequence[str]], dict[str, float]]
    sentence: Callable[[str, str], float]
    higher_is_better: bool = True
    signature: str | None = None
    counts: Counts | None = None
    scorer: Callable[[], SacreMetric] | None = None
    words: Words | None = None

    def __call__(self, hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return self.function(hypotheses, references)


def ratio(name: str, counts: Counts, higher_is_better: bool, words: Words | None = None) -> Metric:
    """The metric of some `counts`, in percent."""

    def value(hypotheses: Sequence[str], references: Sequence[str]) -> float:
        return float(percent(counts(hypotheses, references).sum(axis=0)))

    return Metric(
        name,
        function=lambda hypotheses, references: {name: value(hypotheses, references)},
        sentence=lambda hypothesis, reference: value([hypothesis], [reference]),
        higher_is_better=higher_is_better,
        counts=counts,
        words=words,
    )


def percent(sums: np.ndarray) -> np.ndarray:
    """100 times the ratio of sums (..., 2). Where there is nothing to divide by, that counts as one."""
    return 100.0 * sums[..., 0] / np.maximum(sums[..., 1], 1)
