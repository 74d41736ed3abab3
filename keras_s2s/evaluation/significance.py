"""Whether one system is better than another: paired bootstrap resampling (Koehn 2004)."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.significance import PairedTest, Result, estimate_ci

from keras_s2s.errors import UserError
from keras_s2s.evaluation.metric import Metric, percent
from keras_s2s.evaluation.metrics import find_metric

_SEED = "SACREBLEU_SEED"


@dataclass(frozen=True)
class Compared:
    """A system's value by a metric.

    Attributes:
        score: of the whole corpus.
        mean: of the resampled corpora.
        interval: half the width of the 95 % interval around `mean`.
        p_value: how likely a difference to the first system as large as this one is by chance; None of the first.
    """

    score: float
    mean: float
    interval: float
    p_value: float | None


def compare(
    metric: str, systems: Mapping[str, Sequence[str]], references: Sequence[str], resamples: int = 1000, seed: int = 1
) -> dict[str, Compared]:
    """Compares systems with the first of them.

    All systems are resampled by the same lines. The p-value is the share of resamples whose absolute difference lies
    further above its mean than the difference of the whole corpus is large, as sacrebleu has it for BLEU, chrF and
    TER; for metrics that are ratios of sums over lines the same is computed here.

    Args:
        metric: a name of `METRICS`.
        systems: hypotheses, a line each, by the name of the system; the first one is compared with.
        references: the line that each hypothesis should have been.
        resamples: how often as many lines are drawn, with replacement.
        seed: of the drawing, at least 1.

    Returns:
        By name, in the order given.

    Raises:
        UserError: an unknown metric, fewer than two systems, no lines, or another number of lines than references.
    """
    measure = find_metric(metric)
    _check(systems, references)
    if measure.scorer is not None:
        found = _by_sacrebleu(measure, systems, references, resamples, seed)
    else:
        found = _by_counts(measure, systems, references, resamples, seed)
    first, *others = map(_compared, found)
    # The rule would call a difference that is always zero significant.
    others = [dataclasses.replace(one, p_value=1.0) if _is_same(one, first) else one for one in others]
    return dict(zip(systems, [first, *others], strict=True))


def _compared(result: Result) -> Compared:
    assert result.mean is not None and result.ci is not None
    return Compared(float(result.score), float(result.mean), float(result.ci), result.p_value)


def _is_same(one: Compared, other: Compared) -> bool:
    return (one.score, one.mean, one.interval) == (other.score, other.mean, other.interval)


def _check(systems: Mapping[str, Sequence[str]], references: Sequence[str]) -> None:
    if len(systems) < 2:
        raise UserError("compare: one system only; give at least two")
    if not references:
        raise UserError("compare: no lines to compare; give at least one reference")
    for name, lines in systems.items():
        if len(lines) != len(references):
            raise UserError(
                f"compare: {name} has {len(lines)} lines and there are {len(references)} references; "
                "give exactly one reference line for each hypothesis"
            )


def _by_sacrebleu(
    metric: Metric, systems: Mapping[str, Sequence[str]], references: Sequence[str], resamples: int, seed: int
) -> list[Result]:
    assert metric.scorer is not None
    named: list[tuple[str, Sequence[str]]] = list(systems.items())
    with _seeded(seed):
        # Its own scorer, as the test writes into the signature.
        test = PairedTest(named, {metric.name: metric.scorer()}, [list(references)], "bs", n_samples=resamples)
        _, found = test()
    [results] = (results for name, results in found.items() if name != "System")
    return [result for result in results if isinstance(result, Result)]


def _by_counts(
    metric: Metric, systems: Mapping[str, Sequence[str]], references: Sequence[str], resamples: int, seed: int
) -> list[Result]:
    assert metric.counts is not None
    counts = np.stack([metric.counts(lines, references) for lines in systems.values()])  # (systems, N, 2)
    lines = len(references)
    draw = np.random.default_rng(seed)
    drawn = draw.choice(lines, size=(resamples, lines), replace=True)  # As sacrebleu draws.
    sums = np.stack([counts[:, row].sum(axis=1) for row in drawn], axis=1)  # (systems, resamples, 2)
    scores, resampled = percent(counts.sum(axis=1)), percent(sums)
    first = Result(scores[0], None, *estimate_ci(resampled[0]))
    return [first, *(_paired(*both, scores[0], resampled[0]) for both in zip(scores[1:], resampled[1:], strict=True))]


def _paired(score: float, resampled: np.ndarray, first: float, first_resampled: np.ndarray) -> Result:
    differences = np.abs(resampled - first_resampled)
    above = np.sum(differences - differences.mean() > abs(score - first))
    return Result(score, float((above + 1) / (len(differences) + 1)), *estimate_ci(resampled))


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """sacrebleu takes its seed from the environment."""
    before = os.environ.get(_SEED)
    os.environ[_SEED] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED]
        else:
            os.environ[_SEED] = before
