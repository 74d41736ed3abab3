"""Mixtures: how often each of several corpora or tasks is seen."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.data.pairs import Pairs, join
from keras_s2s.errors import UserError


@dataclass(frozen=True)
class Mixture:
    """Which rows of a joined corpus are in an epoch.

    Every epoch has as many rows as the corpus, shared out among the parts: by `weights`; or by `temperature` T,
    p_i ~ n_i^(1/T), n_i the rows of part i (Arivazhagan et al. 2019): T = 1 is proportion, a large T makes parts
    equal; or, with neither, by proportion, and then every row is in every epoch once.

    A part has the same number of rows in every epoch, at least one unless its weight is 0. They come without
    replacement: a part is permuted, and when all of it has been seen it is permuted again. So a part that is drawn
    more than it has repeats within an epoch, and one that is drawn less goes on in the next epoch where it stopped.

    Attributes:
        parts: by name, the rows of each part in the joined corpus: a range, or an array (n_i,) of integers.
        weights: of each part, as large as they are in relation to each other.
        temperature: T.

    Raises:
        UserError: a part is empty, a weight negative or no number, all are 0, or T is not above 0.
    """

    parts: Mapping[str, np.ndarray | range]
    weights: Sequence[float] | None = None
    temperature: float | None = None
    counts: np.ndarray = field(init=False)  # (P,) int64, rows of each part in an epoch

    def __post_init__(self) -> None:
        """Checks the parts and shares an epoch out among them."""
        for name, rows in self.parts.items():
            if not len(rows):
                raise UserError(f"mixture: {name}: empty; leave it out, or give it at least one pair")
        counts = _share_out(sum(map(len, self.parts.values())), self._rates())
        object.__setattr__(self, "counts", counts)

    def rows(self, epoch: int, seed: int) -> np.ndarray:
        """Returns the rows of an epoch, part after part; it is the same for the same numbers.

        Args:
            epoch: counted from 0.
            seed: not negative.

        Returns:
            (N,) uint32, N the sum of `counts` in every epoch.
        """
        drawn = np.empty(self.counts.sum(), np.uint32)
        begin = 0
        for part, (rows, count) in enumerate(zip(self.parts.values(), self.counts.tolist(), strict=True)):
            places = drawn[begin : begin + count]
            _draw(places, len(rows), epoch * count, (seed, part))
            for block in blocks(count):
                places[block] = places[block] + rows.start if isinstance(rows, range) else rows[places[block]]
            begin += count
        return drawn

    def among(self, kept: np.ndarray) -> "Mixture":
        """Returns the same mixture of those rows alone, by number, that are in `kept` (M,), which ascend.

        Raises:
            UserError: nothing is left of a part.
        """
        left = {name: _among(rows, kept) for name, rows in self.parts.items()}
        for name, rows in left.items():
            if not len(rows):
                raise UserError(f"mixture: {name}: no pair is left of {len(self.parts[name])}; leave this part out")
        return replace(self, parts=left)

    def _rates(self) -> np.ndarray:
        """p_i (P,), which sum to 1."""
        if self.weights is not None and self.temperature is not None:
            raise UserError("mixture: weights and a temperature; give one of the two")
        if self.weights is not None:
            return _checked(self.weights, list(self.parts))
        temperature = 1.0 if self.temperature is None else self.temperature
        if not temperature > 0:
            raise UserError(f"mixture: temperature {temperature}: must be above 0; 1 is proportion")
        logs = np.log([len(rows) for rows in self.parts.values()]) / temperature
        rates = np.exp(logs - logs.max())
        return rates / rates.sum()


def mix(
    corpora: Mapping[str, Pairs],
    weights: Mapping[str, float] | None = None,
    temperature: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> tuple[Pairs, Mixture]:
    """Joins corpora, and says which rows of the whole are in an epoch.

    Args:
        corpora: by name.
        weights: of each corpus by name; see `Mixture`.
        temperature: see `Mixture`.
        tags: by name, what to put before each source of a corpus, see `tagged`.

    Raises:
        UserError: as `Mixture` and `tagged`; or `weights` or `tags` name other corpora.
    """
    mixture = mixture_of({name: len(pairs) for name, pairs in corpora.items()}, weights, temperature)
    _check_names(corpora, tags or {}, "tags", every=False)
    return join([tagged(pairs, (tags or {}).get(name)) for name, pairs in corpora.items()]), mixture


def mixture_of(
    sizes: Mapping[str, int], weights: Mapping[str, float] | None = None, temperature: float | None = None
) -> Mixture:
    """Makes the mixture of corpora that were joined.

    Args:
        sizes: pairs of each corpus by name, in the order in which they were joined.
        weights: of each corpus by name; see `Mixture`.
        temperature: see `Mixture`.

    Raises:
        UserError: as `Mixture`; or `weights` name other corpora.
    """
    if not sizes:
        raise UserError("mixture: no corpora; give at least one")
    _check_names(sizes, weights if weights is not None else sizes, "weights", every=True)
    ends = itertools.accumulate(sizes.values())
    parts = {name: range(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
    return Mixture(parts, None if weights is None else [weights[name] for name in sizes], temperature)


def tagged(pairs: Pairs, tag: str | None) -> Pairs:
    """Returns the pairs with `tag` and a space before each source.

    A tag is a symbol of the source's tokenizer, as `<2de>` is when `text.train` is given it in `symbols`. Who runs
    the model writes it before the source too.

    Raises:
        UserError: the sources are features.
    """
    if tag is None:
        return pairs
    if pairs.has_features:
        raise UserError(f"mixture: tag {tag}: features have no place for a tag; leave it out")
    return replace(pairs, sources=[f"{tag} {source}" for source in pairs.sources])


def _checked(weights: Sequence[float], names: Sequence[str]) -> np.ndarray:
    if len(weights) != len(names):
        raise UserError(f"mixture: {len(names)} parts and {len(weights)} weights; give each part one")
    for name, weight in zip(names, weights, strict=True):
        if not (weight >= 0 and math.isfinite(weight)):
            raise UserError(f"mixture: {name}: weight {weight}: must be a finite number, 0 or more")
    if not any(weights):
        raise UserError("mixture: all weights are 0, so there is nothing to learn from; give one that is more")
    return np.array(weights, np.float64) / math.fsum(weights)


def _check_names(corpora: Mapping[str, object], named: Mapping[str, object], what: str, every: bool) -> None:
    for name in named:
        if name not in corpora:
            raise UserError(f"mixture: {what}: {name}: no such corpus; there are {', '.join(corpora)}")
    for name in corpora:
        if every and name not in named:
            raise UserError(f"mixture: {what}: none for {name}; give each corpus one")


def _share_out(size: int, rates: np.ndarray) -> np.ndarray:
    """Whole numbers (P,) that sum to `size`, or a little more, near `size * rates`, by largest remainders.

    Those of a rate above 0 are 1 at least.
    """
    exact = size * rates
    counts = np.floor(exact).astype(np.int64)
    remainders = exact - counts
    for part in np.argsort(-remainders, kind="stable")[: size - counts.sum()]:
        counts[part] += 1
    return np.maximum(counts, rates > 0)


def _draw(drawn: np.ndarray, size: int, start: int, stream: tuple[int, int]) -> None:
    """Fills `drawn` with the places from `start` on of an endless row of permutations of `size`."""
    begin = 0
    while begin < len(drawn):
        cycle, skipped = divmod(start + begin, size)
        permutation = np.arange(size, dtype=np.uint32)
        np.random.default_rng((*stream, cycle)).shuffle(permutation)
        some = permutation[skipped : skipped + len(drawn) - begin]
        drawn[begin : begin + len(some)] = some
        begin += len(some)


def _among(rows: np.ndarray | range, kept: np.ndarray) -> np.ndarray:
    """Those rows that are kept; of a range a view of `kept`."""
    if isinstance(rows, range):
        return kept[slice(*np.searchsorted(kept, [rows.start, rows.stop]))]
    return rows[np.isin(rows, kept)]
