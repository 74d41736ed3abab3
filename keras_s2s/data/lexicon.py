"""A lexicon learnt from pairs: which target ids a source id may become. It makes shortlists for decoding."""

from dataclasses import dataclass

import numpy as np

from keras_s2s.data.model_1 import Model1, Rows, learn, sample
from keras_s2s.data.ragged import Ragged
from keras_s2s.special_ids import PADDING, UNKNOWN


@dataclass(frozen=True)
class Lexicon:
    """Translations of single ids.

    Attributes:
        candidates: (V_source, k) int32, the most probable target ids of each source id, best first, padded with 0.
        always: (F,) int32, sorted: the four special ids and the most frequent target ids, which fit any source.
    """

    candidates: np.ndarray
    always: np.ndarray


def learn_lexicon(
    sources: Rows, targets: Rows, source_vocabulary: int, *, size: int = 50, frequent: int = 100, iterations: int = 8
) -> Lexicon:
    """Learns p(target id | source id) by IBM model 1 (Brown et al. 1993), see `model_1.learn`.

    Of a large corpus a sample is enough: as many pairs as have 2^25 links of a target place to a source place, which is
    about 300,000 short sentences. It is drawn by a fixed seed.

    Args:
        sources: ids of each source, without padding, with EOS behind them or without.
        targets: ids of each target, as many.
        source_vocabulary: V_source.
        size: k, candidates of a source id at most.
        frequent: so many of the most frequent target ids are always candidates, besides the special ones.
        iterations: of EM.

    Raises:
        UserError: there is no pair, or not as many targets as sources.
    """
    some_sources, some_targets = sample(sources, targets)
    model = learn(some_sources, some_targets, iterations)
    return Lexicon(_best(model, source_vocabulary, size), _always(some_targets, frequent))


def _best(model: Model1, vocabulary: int, size: int) -> np.ndarray:
    """(V_source, k): the most probable targets of each source id; the empty word's row stays zero."""
    source, target = np.divmod(model.keys, model.width)
    order = np.lexsort((target, -model.probability, source))
    source, target = source[order], target[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    chosen = (rank < size) & (source != PADDING)
    candidates = np.zeros((vocabulary, size), np.int32)
    candidates[source[chosen], rank[chosen]] = target[chosen]
    return candidates


def _always(targets: Ragged, frequent: int) -> np.ndarray:
    counts = np.bincount(targets.values, minlength=UNKNOWN + 1)
    counts[: UNKNOWN + 1] = 0
    most = np.argsort(-counts, kind="stable")[:frequent]
    return np.union1d(np.arange(UNKNOWN + 1), most[counts[most] > 0]).astype(np.int32)
