"""A lexicon learnt from pairs: which target ids a source id may become. It makes shortlists for decoding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_s2s.errors import UserError
from keras_s2s.special_ids import PADDING, UNKNOWN

Rows = Sequence[Sequence[int] | np.ndarray]


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
    """Learns p(target id | source id) by IBM model 1 (Brown et al. 1993).

    Each target id of a pair comes from one source id of the pair or from the empty word, each as likely as the other:
    `p(t_1..t_m | s_1..s_l) ~ prod_j sum_i p(t_j | s_i)`, s_0 the empty word. Expectation and maximisation start from
    equal probabilities; model 1 has one maximum, so the start does not matter.

    Args:
        sources: ids of each source, without padding.
        targets: ids of each target, as many.
        source_vocabulary: V_source.
        size: k, candidates of a source id at most.
        frequent: so many of the most frequent target ids are always candidates, besides the special ones.
        iterations: of EM.

    Raises:
        UserError: there is no pair, or not as many targets as sources.
    """
    source, target, place = _links(sources, targets)
    source, target, link = _combinations(source, target)
    probability = _expectation_maximisation(source, link, place, iterations)
    return Lexicon(_best(source, target, probability, source_vocabulary, size), _always(targets, frequent))


def align(sources: Rows, targets: Rows, *, iterations: int = 8) -> list[np.ndarray]:
    """Aligns each pair by its most probable links under IBM model 1, which it learns from the same pairs.

    Of source places with the same id, which model 1 cannot tell apart, the one nearest the diagonal is chosen.

    Args:
        sources: ids of each source, without padding.
        targets: ids of each target, as many.
        iterations: of EM.

    Returns:
        Of each pair the source place, from 0, of each target id, (T,) int32; -1 for those from the empty word.

    Raises:
        UserError: as `learn_lexicon`.
    """
    source, target, place = _links(sources, targets)
    source, _, link = _combinations(source, target)
    probability = _expectation_maximisation(source, link, place, iterations)[link]
    lengths = [len(row) for row in sources]
    counts = [len(row) for row in targets]
    # The place of each link in its source, and how far it is from the diagonal; the empty word is at -1.
    at = np.concatenate([np.tile(np.arange(-1, m), t) for m, t in zip(lengths, counts, strict=True)])
    height = np.concatenate([np.repeat(np.arange(t) / t, m + 1) for m, t in zip(lengths, counts, strict=True)])
    width = np.concatenate([np.full(t * (m + 1), max(m, 1)) for m, t in zip(lengths, counts, strict=True)])
    order = np.lexsort((np.abs(at / width - height), -probability, place))
    first = np.unique(place[order], return_index=True)[1]
    return np.split(at[order][first].astype(np.int32), np.cumsum(counts)[:-1])


def _combinations(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source and target id of each combination that occurs, and which one a link is of."""
    width = int(target.max(initial=UNKNOWN)) + 1
    combinations, link = np.unique(source * width + target, return_inverse=True)
    source, target = np.divmod(combinations, width)
    return source, target, link


def _links(sources: Rows, targets: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source id, target id, and the number of the target place, of all links of all pairs, one after another.

    The empty word, a source of every pair, is id 0.
    """
    if not sources or len(sources) != len(targets):
        raise UserError(f"lexicon: {len(sources)} sources and {len(targets)} targets; give each source one target")
    lines = [np.array([PADDING, *row], np.int64) for row in sources]
    source = [np.tile(line, len(row)) for line, row in zip(lines, targets, strict=True)]
    lengths = np.concatenate([np.full(len(row), len(line)) for line, row in zip(lines, targets, strict=True)])
    target = np.concatenate([np.asarray(row, np.int64) for row in targets])
    return np.concatenate(source), np.repeat(target, lengths), np.repeat(np.arange(len(target)), lengths)


def _expectation_maximisation(source: np.ndarray, link: np.ndarray, place: np.ndarray, iterations: int) -> np.ndarray:
    """p(target | source) of each combination.

    Args:
        source: source id of each combination.
        link: combination of each link.
        place: target place of each link.
        iterations: how often.
    """
    probability = np.ones(len(source))
    for _ in range(iterations):
        of_link = probability[link]
        expected = of_link / np.bincount(place, of_link)[place]
        counts = np.bincount(link, expected, len(source))
        probability = counts / np.bincount(source, counts)[source]
    return probability


def _best(source: np.ndarray, target: np.ndarray, probability: np.ndarray, vocabulary: int, size: int) -> np.ndarray:
    """(V_source, k): the most probable targets of each source id; the empty word's row stays zero."""
    order = np.lexsort((target, -probability, source))
    source, target = source[order], target[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    chosen = (rank < size) & (source != PADDING)
    candidates = np.zeros((vocabulary, size), np.int32)
    candidates[source[chosen], rank[chosen]] = target[chosen]
    return candidates


def _always(targets: Rows, frequent: int) -> np.ndarray:
    counts = np.bincount(np.concatenate([np.asarray(row, np.int64) for row in targets]), minlength=UNKNOWN + 1)
    counts[: UNKNOWN + 1] = 0
    most = np.argsort(-counts, kind="stable")[:frequent]
    return np.union1d(np.arange(UNKNOWN + 1), most[counts[most] > 0]).astype(np.int32)
