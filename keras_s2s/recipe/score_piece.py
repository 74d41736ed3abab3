"""Preprocessing by the scores of trained models."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from keras_s2s import bundle
from keras_s2s.data import PIECES, Pairs, WholeCorpusPiece

if TYPE_CHECKING:
    from keras_s2s.runtime import Generator


@PIECES.register
class Score(WholeCorpusPiece):
    """Leaves out the pairs that models find least likely, by dual conditional cross-entropy (Junczys-Dowmunt 2018).

    The cross-entropy of a text is the negative logarithm, a natural one, of its probability, divided by its number of
    tokens, the end counted. F is that of the target given the source, by the model `forward`; B is that of the source
    given the target, by the model `backward`. The score of a pair is

        exp(-(abs(F - B) + (F + B) / 2))

    from 0 to 1: high where both models find the pair likely, and about as likely as each other. Without `backward` it
    is exp(-F), the geometric mean of the probabilities of the target's tokens.

    Both models should be trained on clean data, alike in size and tokenizers, since only then their scores compare.

    Args:
        kind: its name.
        forward: the folder of a bundle that translates sources, exported with `score`. A relative one starts at the
            current folder, as `saved_models` does.
        backward: the same of one that translates targets into sources.
        precision: which of the bundles' graphs to use.
        minimum: the least score of a pair that stays.
        best: the share of the corpus that stays, those with the highest scores; in place of `minimum`.
    """

    kind: Literal["score"] = "score"
    forward: str
    backward: str | None = None
    precision: str = "int8"
    minimum: Annotated[float, Field(gt=0, le=1)] | None = None
    best: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.minimum is None) == (self.best is None):
            raise ValueError("expected either 'minimum', a score, or 'best', a share of the corpus")
        return self

    @property
    def reason(self) -> str:
        """The same of every pair."""
        if self.best is not None:
            return f"not of the {100 * self.best:g}% with the highest scores"
        return f"score under {self.minimum:g}"

    def inputs(self) -> Mapping[str, str]:
        """The bundles, and a hash of the files of each.

        Raises:
            UserError: one is not there, is no bundle, or has no graph `score` of that precision.
        """
        from keras_s2s.runtime.options import find_graph

        paths = [path for path in (self.forward, self.backward) if path is not None]
        for path in paths:
            find_graph(bundle.read(path), self.precision, "score")
        return {f"the bundle {path}": _fingerprint(path) for path in paths}

    def signatures(self, pairs: Pairs) -> np.ndarray:
        """The score of each pair: (N,) float32.

        Raises:
            UserError: a bundle cannot be loaded, or has no graph `score`.
        """
        forward = self._cross_entropies(self.forward, pairs.sources, pairs.targets)
        if self.backward is None:
            return np.exp(-forward)
        backward = self._cross_entropies(self.backward, pairs.targets, pairs.sources)
        return np.exp(-(abs(forward - backward) + (forward + backward) / 2))

    def kept(self, signatures: np.ndarray) -> np.ndarray:
        """Keeps pairs with high scores; of those with the lowest one that stays, the first."""
        if self.best is None:
            return np.asarray(signatures >= np.float32(self.minimum))
        count = round(self.best * len(signatures))
        if not count:
            return np.zeros(len(signatures), bool)
        least = np.partition(signatures, -count)[-count]
        kept = np.asarray(signatures >= least)
        kept[np.flatnonzero(signatures == least)[count - np.count_nonzero(signatures > least) :]] = False
        return kept

    def _cross_entropies(self, path: str, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        generator = _generator(path, self.precision, _fingerprint(path))
        scored = generator.score_pairs(generator.pairs(sources, targets))
        return np.array([-one.log_probability / len(one.token_scores) for one in scored], np.float32)


def _fingerprint(path: str) -> str:
    hashes = dict(bundle.read(path).manifest.hashes)
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=2)
def _generator(path: str, precision: str, fingerprint: str) -> "Generator":
    """Loads a bundle, once in each process. It computes on one core, since each core has a process of its own."""
    from keras_s2s.runtime import Generator

    return Generator.load(Path(path), precision, threads=1)
