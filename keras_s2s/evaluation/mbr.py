"""The candidate that agrees most with the others."""

from collections import Counter
from collections.abc import Sequence
from math import fsum

from keras_s2s.errors import UserError
from keras_s2s.evaluation.metrics import find_metric


def minimum_bayes_risk(candidates: Sequence[str], metric: str) -> int:
    """Chooses the candidate of the least expected risk.

    With utility u, the value of the metric for one line, and the candidates themselves as equally likely references:
    `argmax_i sum_j u(candidates[i], candidates[j])` (Kumar and Byrne 2004; for samples, Eikema and Aziz 2020).

    Args:
        candidates: hypotheses of one source. A text that occurs twice counts twice, and is compared once: n different
            texts take n * n sentence scores.
        metric: a name of `METRICS`. Where lower is better, the utility is the negated value.

    Returns:
        The index of the first candidate with the highest utility.

    Raises:
        UserError: an unknown metric, or no candidates.
    """
    measure = find_metric(metric)
    if not candidates:
        raise UserError("minimum_bayes_risk: no candidates; give at least one")
    sign = 1 if measure.higher_is_better else -1
    counts = Counter(candidates)
    # The exact sum does not depend on the order, so that ties are ties.
    utilities = {
        text: sign * fsum(count * measure.sentence(text, other) for other, count in counts.items()) for text in counts
    }
    return candidates.index(max(utilities, key=utilities.__getitem__))
