"""Which of two models is the better one: metrics in an order, the next of which decides among equals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keras_s2s.evaluation import find_metric


class Criterion(NamedTuple):
    """A value by which models are compared.

    Attributes:
        name: of the value.
        higher_is_better: which values are good.
        worst: a value that is no better than this, or no number, tells nothing of a model.
    """

    name: str
    higher_is_better: bool
    worst: float

    @classmethod
    def of_metric(cls, name: str) -> "Criterion":
        """That of a metric of decoded text, in percent.

        Raises:
            UserError: no metric has that name.
        """
        metric = find_metric(name)
        return cls(metric.name, metric.higher_is_better, 0.0 if metric.higher_is_better else 100.0)

    def goodness(self, value: float) -> float:
        """A number that is higher for better values, and lowest where there is none."""
        if math.isnan(value):
            return -math.inf
        return value if self.higher_is_better else -value

    def is_at_worst(self, value: float) -> bool:
        """Whether a value is as bad as one can be."""
        return self.goodness(value) <= self.goodness(self.worst)


PERPLEXITY = Criterion("perplexity", False, math.inf)


def goodness(criteria: Sequence[Criterion], values: Mapping[str, float]) -> tuple[float, ...]:
    """A key that sorts models from the worst to the best.

    Args:
        criteria: the most important first.
        values: of a model by name; one that is missing counts as the worst.
    """
    return tuple(one.goodness(values.get(one.name, math.nan)) for one in criteria)


def in_words(criteria: Sequence[Criterion], values: Mapping[str, float]) -> str:
    """Such as `dev bleu 36.50, chrf 60.12`."""
    return "dev " + ", ".join(f"{one.name} {values[one.name]:.2f}" for one in criteria if one.name in values)
