"""Inputs of a graph: sentences and options as arrays, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_s2s.bundle import Decoding
from keras_s2s.option import DTYPES
from keras_s2s.runtime.prefixes import suppressed_ids
from keras_s2s.search_options import STRATEGIES
from keras_s2s.special_ids import EOS, UNKNOWN
from keras_s2s.text.padding import pad
from keras_s2s.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sentence:
    """One source, ready to be decoded.

    Attributes:
        ids: with EOS.
        number: which of the sources it is, so that sampling does not depend on batches.
        prefix: target ids that the output begins with; see `runtime.prefixes.prefix_ids`.
        limit: the most tokens that may come out of a search a step at a time; None leaves it to the options, as
            whole searches do.
        scores: whether anybody reads the scores of its outputs; in a batch they are computed for all or for none.
    """

    ids: Sequence[int]
    number: int = 0
    prefix: Sequence[int] = ()
    limit: int | None = None
    scores: bool = True

    def __len__(self) -> int:
        """The number of source ids."""
        return len(self.ids)


def source_rows(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> list[list[int]]:
    """The ids of texts, each with EOS and cut to `longest` ids."""
    return [[*ids[: longest - 1], EOS] for ids in tokenizer.encode(list(texts))]


def target_rows(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of texts, each with EOS."""
    return [[*ids, EOS] for ids in tokenizer.encode(list(texts))]


def length_limit(source_length: int, decoding: Decoding) -> int:
    """The most tokens that may come out for so many source tokens, as the graphs compute it."""
    factor = np.float32(decoding.max_length_factor) * np.float32(source_length)
    return max(int(np.floor(factor)) + decoding.max_length_extra, 0)


def default_feeds(target: Tokenizer, decoding: Decoding) -> Mapping[str, np.ndarray]:
    """The inputs that follow from a bundle's options, beside a sentence of nothing but EOS; with scores."""
    suppressed, decoding = suppressed_ids(target, decoding), decoding.replace(scores=True)
    return feeds([Sentence([EOS])], decoding, target.vocabulary_size, suppressed, begins_word=target.begins_word)


def feeds(
    sentences: Sequence[Sentence],
    decoding: Decoding,
    vocabulary: int,
    suppressed: Sequence[Sequence[int]] = (),
    shortlist: np.ndarray | None = None,
    begins_word: np.ndarray | None = None,
) -> Mapping[str, np.ndarray]:
    """All inputs that a searching graph may have.

    Args:
        sentences: of a batch.
        decoding: options.
        vocabulary: V, target ids that there are.
        suppressed: sequences of target ids that must not be written.
        shortlist: the only target ids that may be written, sorted, 0 to 3 first; all if None.
        begins_word: (V,) bool, the target ids that `NEW_WORD` in a prefix stands for; all pieces if None.
    """
    return {
        "source_ids": pad([sentence.ids for sentence in sentences]),
        **{name: np.array(x, DTYPES[type(x)]) for name, x in (*decoding, *decoding.own.items()) if type(x) in DTYPES},
        "with_scores": with_scores(sentences, decoding.scores),
        "begins_word": np.arange(vocabulary) > UNKNOWN if begins_word is None else begins_word,
        "prefix": _matrix([sentence.prefix for sentence in sentences]),
        "suppressed": _matrix([ids[::-1] for ids in suppressed] or [()])[:, ::-1],
        "uniforms": _uniforms(sentences, decoding) if _draws(decoding) else np.zeros((1, 1, 1), "float32"),
        "shortlist": np.arange(vocabulary, dtype="int32") if shortlist is None else shortlist,
    }


def with_scores(sentences: Sequence[Sentence], wanted: bool = True) -> np.ndarray:
    """The input that says whether scores are computed: if they are wanted, and anybody reads them."""
    return np.array(wanted and any(sentence.scores for sentence in sentences))


def _matrix(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Rows of ids, padded with 0 to the longest, which has one id at least."""
    matrix = np.zeros((len(rows), max(1, *map(len, rows))), "int32")
    for padded, ids in zip(matrix, rows, strict=True):
        padded[: len(ids)] = ids
    return matrix


def _draws(decoding: Decoding) -> bool:
    """Whether the strategy draws by uniform numbers. One that is the bundle's own may."""
    return decoding.strategy not in STRATEGIES or "seed" in STRATEGIES[decoding.strategy].options


def _uniforms(sentences: Sequence[Sentence], decoding: Decoding) -> np.ndarray:
    """Numbers from 0 to below 1, (B, N, L), that seed and sentence alone decide."""
    longest = 1 + max(length_limit(len(sentence), decoding) for sentence in sentences)
    rows = [
        np.random.default_rng((decoding.seed, sentence.number)).random((longest, decoding.n_best), "float32").T
        for sentence in sentences
    ]
    return np.stack(rows)
