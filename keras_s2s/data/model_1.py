"""IBM model 1 (Brown et al. 1993): how probable each target id is, given a source id."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError
from keras_s2s.special_ids import EOS, PADDING, UNKNOWN

Rows = Sequence[Sequence[int] | np.ndarray]
# A link is a place of a target and a place of its source, or the empty word. So many are learnt from: a third of a
# gigabyte. Those of an average pair of short sentences are a hundred, so this is 300,000 of them.
_MOST_LINKS = 2**25
# So many are looked at together.
_LINKS = 2**17


@dataclass(frozen=True, eq=False)
class Model1:
    """Probabilities of the combinations of a source and a target id that were seen.

    Attributes:
        keys: (C,) int64, `source id * width + target id`, ascending; the empty word is the source id 0.
        probability: (C,) float64, p(target id | source id).
        width: larger than any target id.
    """

    keys: np.ndarray
    probability: np.ndarray
    width: int

    def align(self, sources: Ragged, targets: Ragged) -> Ragged:
        """Aligns pairs by their most probable links.

        Of source places with the same id, which the model cannot tell apart, the one nearest the diagonal is chosen.

        Args:
            sources: ids of each source.
            targets: ids of each target.

        Returns:
            Of each pair the source place, from 0, of each target id, (T,) int32; -1 for those from the empty word, and
            for those that the model saw with no id of the source.
        """
        parts = [self._aligned(sources[span], targets[span]) for span in _spans(sources, targets)]
        return Ragged(np.concatenate([np.empty(0, np.int32), *parts]), np.asarray(targets.ends))

    def _aligned(self, sources: Ragged, targets: Ragged) -> np.ndarray:
        """The source places of all target ids, one pair behind the other."""
        links = _links(sources, targets)
        probability, best = self._probability(links), np.empty(0)
        if links.begins.size:
            best = np.maximum.reduceat(probability, links.begins)
        # How far a link is from the diagonal; only the best ones count.
        ends = np.cumsum(targets.lengths)
        of_pair = np.repeat(np.arange(len(targets)), targets.lengths)
        height = (np.arange(len(of_pair)) - (ends - targets.lengths)[of_pair]) / targets.lengths[of_pair]
        width = np.maximum(sources.lengths, 1)[of_pair]
        distance = np.abs(links.at / width[links.place] - height[links.place])
        distance[probability < best[links.place]] = np.inf
        nearest = np.minimum.reduceat(distance, links.begins) if links.begins.size else best
        found = np.flatnonzero(distance == nearest[links.place])
        first = found[np.searchsorted(links.place[found], np.arange(len(of_pair)))]
        return np.where(best > 0, links.at[first], -1).astype(np.int32)

    def _probability(self, links: "_Links") -> np.ndarray:
        """Of each link; 0 where its combination was not seen."""
        keys = links.source * self.width + links.target
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        seen = (self.keys[found] == keys) & (links.target < self.width)
        return np.where(seen, self.probability[found], 0)


def without_eos(rows: Rows) -> Ragged:
    """Rows of ids without the EOS at the end of those that have one."""
    ragged = Ragged.of(rows)
    lasts = ragged.ends[ragged.lengths > 0] - 1
    lasts = lasts[ragged.values[lasts] == EOS]
    stays = np.ones(len(ragged.values), bool)
    stays[lasts] = False
    return Ragged(ragged.values[stays], ragged.ends - np.searchsorted(lasts, ragged.ends))


def sample(sources: Rows, targets: Rows) -> tuple[Ragged, Ragged]:
    """Pairs to learn from, without EOS: all, or of a large corpus some, spread over all of it by chance.

    The chance is the same in every call, so the same corpus gives the same pairs.

    Args:
        sources: ids of each source, with EOS behind them or without.
        targets: ids of each target, as many.

    Raises:
        UserError: there is no pair, or not as many targets as sources.
    """
    if not len(sources) or len(sources) != len(targets):
        raise UserError(f"lexicon: {len(sources)} sources and {len(targets)} targets; give each source one target")
    one, other = Ragged.of(sources), Ragged.of(targets)
    count = len(one)
    links = sum(int(_count(one, other, block).sum()) for block in blocks(count))
    if links > _MOST_LINKS:
        edges = np.linspace(0, count, max(count * _MOST_LINKS // links, 1) + 1).astype(np.int64)
        rows = np.random.default_rng(1).integers(edges[:-1], edges[1:])
        one, other = one.take(rows), other.take(rows)
    return without_eos(one), without_eos(other)


def learn(sources: Ragged, targets: Ragged, iterations: int) -> Model1:
    """Learns by expectation and maximisation.

    Each target id of a pair comes from one source id of the pair or from the empty word, each as likely as the other:
    `p(t_1..t_m | s_1..s_l) ~ prod_j sum_i p(t_j | s_i)`, s_0 the empty word. It starts from equal probabilities; model
    1 has one maximum, so the start does not matter.

    Args:
        sources: ids of each source.
        targets: ids of each target.
        iterations: how often.
    """
    width = int(targets.values.max(initial=UNKNOWN)) + 1
    spans = list(_spans(sources, targets))

    def keys_of(span: slice) -> np.ndarray:
        links = _links(sources[span], targets[span])
        return links.source * width + links.target

    keys = _distinct(map(keys_of, spans))
    # Which combination each link is of.
    combination = [np.searchsorted(keys, keys_of(span)).astype(np.uint32) for span in spans]
    source, probability = keys // width, np.ones(len(keys))
    for _ in range(iterations):
        counts = np.zeros(len(keys))
        for span, some in zip(spans, combination, strict=True):
            place, link = _places(sources[span], targets[span]), some.astype(np.intp)
            of_link = probability[link]
            np.add.at(counts, link, of_link / np.bincount(place, of_link)[place])
        probability = np.divide(counts, np.bincount(source, counts)[source], out=counts)
    return Model1(keys, probability, width)


class _Links(NamedTuple):
    """All links of some pairs: those of a target place one after the other, the empty word first.

    Attributes:
        source: (L,) int64, source ids; 0 is the empty word.
        target: (L,) int64, target ids.
        at: (L,) int64, the places in the sources; -1 is the empty word.
        place: (L,) int64, the number of the target place among all.
        begins: (P,) int64, where the links of each target place begin.
    """

    source: np.ndarray
    target: np.ndarray
    at: np.ndarray
    place: np.ndarray
    begins: np.ndarray


def _links(sources: Ragged, targets: Ragged) -> _Links:
    sizes = np.repeat(sources.lengths + 1, targets.lengths)
    place, begins = _places(sources, targets), np.cumsum(sizes) - sizes
    at = np.arange(len(place)) - begins[place] - 1
    # The empty word is put in front of all sources.
    values = np.append(PADDING, sources.values.astype(np.int64))
    first = np.repeat(sources.ends - sources.lengths, targets.lengths)
    source = values[np.where(at < 0, 0, first[place] + at + 1)]
    return _Links(source, targets.values.astype(np.int64)[place], at, place, begins)


def _places(sources: Ragged, targets: Ragged) -> np.ndarray:
    """The target place of each link."""
    sizes = np.repeat(sources.lengths + 1, targets.lengths)
    return np.repeat(np.arange(len(sizes)), sizes)


def _count(sources: Ragged, targets: Ragged, rows: slice) -> np.ndarray:
    """The number of links of some pairs."""
    return (sources.lengths_at(rows) + 1) * targets.lengths_at(rows)


def _spans(sources: Ragged, targets: Ragged) -> Iterator[slice]:
    """Cuts pairs into neighbouring ones that have few links together."""
    for block in blocks(len(sources)):
        group = np.cumsum(_count(sources, targets, block)) // _LINKS
        begin = block.start
        for end in (np.flatnonzero(np.diff(group, append=-1)) + 1 + block.start).tolist():
            yield slice(begin, end)
            begin = end


def _distinct(parts: Iterable[np.ndarray]) -> np.ndarray:
    """All numbers >= 0 that occur, ascending. They are put together whenever there are as many new as known ones."""
    known, new = np.empty(0, np.int64), list[np.ndarray]()
    for part in parts:
        new.append(_without_repeats(part))
        if sum(map(len, new)) > len(known):
            known, new = _without_repeats(np.concatenate([known, *new])), []
    return _without_repeats(np.concatenate([known, *new]))


def _without_repeats(values: np.ndarray) -> np.ndarray:
    """As `np.unique`, whose table of hashes is slow where nearly all numbers are different."""
    values = np.sort(values)
    return values[np.diff(values, prepend=-1) > 0]
