"""Tokenizers without the pieces that a corpus does not use.

A text whose pieces all stay is cut as before, in each kind of model:

- BPE: a piece is always made by the same merges, those that its characters go through alone, for no merge goes over
  its ends, and of those within it the order depends on nothing else. While all these merges are there, and others only
  go, each merge of such a text is still the best one when its turn comes.
- Unigram: the best path is still there with its score, and no path got a better one: a character whose piece is gone
  has the score of an unknown one, which is less. That score follows from the least of all scores, and those of the
  user's symbols from the greatest, so a piece with either stays.
- Characters and words: each is looked up by itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, pairwise
from typing import Any

import numpy as np

from keras_s2s.errors import UserError
from keras_s2s.text.proto import parsed
from keras_s2s.text.tokenizer import Tokenizer


def needed(tokenizer: Tokenizer, uses: np.ndarray, minimum: int = 1) -> np.ndarray:
    """Says which ids must stay for the texts of the used pieces to be cut as before.

    These are the pieces that are used often enough, and what they need: of BPE the pieces from which they are merged,
    of unigram those with the least and the greatest score. What is not learned from text stays, too: the first four
    ids, bytes, and the user's symbols. So do, of BPE and unigram, the characters of all pieces that are used at all:
    whatever else goes, none of them becomes unknown.

    Args:
        tokenizer: any.
        uses: (V,) how often each id occurs in the corpus.
        minimum: pieces that are used less often go.

    Returns:
        (V,) bool.

    Raises:
        UserError: a piece is marked as unused, as no model of ours has it.
    """
    proto = parsed(tokenizer.model)
    kinds, spec = proto.SentencePiece, proto.trainer_spec
    if any(piece.type == kinds.UNUSED for piece in proto.pieces):
        raise UserError("tokenizer: a piece is marked as unused; take a model that keras_s2s.text.train made")
    normal = np.array([piece.type == kinds.NORMAL for piece in proto.pieces])
    kept = ~normal | (uses >= minimum)
    if spec.model_type in (spec.BPE, spec.UNIGRAM):
        numbers = {proto.pieces[number].piece: number for number in np.flatnonzero(normal).tolist()}
        _keep(kept, numbers, chain.from_iterable(piece for piece, number in numbers.items() if uses[number]))
        if spec.model_type == spec.BPE:
            scores = {piece: proto.pieces[number].score for piece, number in numbers.items()}
            whole = [piece for piece, number in numbers.items() if kept[number]]
            _keep(kept, numbers, chain.from_iterable(_merges(piece, scores) for piece in whole))
        else:
            _keep_extremes(kept, normal, np.array([piece.score for piece in proto.pieces], np.float32))
    return kept


def reduced(tokenizer: Tokenizer, kept: np.ndarray) -> Tokenizer:
    """Makes a tokenizer of some pieces of another one; they stay in their order.

    Args:
        tokenizer: the other one.
        kept: (V,) bool, its ids that stay, see `needed`.
    """
    proto: Any = parsed(tokenizer.model)
    for number in np.flatnonzero(~kept)[::-1].tolist():
        del proto.pieces[number]
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return Tokenizer(proto.SerializeToString(deterministic=True))


def _keep(kept: np.ndarray, numbers: Mapping[str, int], pieces: Iterable[str]) -> None:
    kept[[numbers[piece] for piece in pieces if piece in numbers]] = True


def _merges(piece: str, scores: Mapping[str, float]) -> Iterator[str]:
    """What SentencePiece makes of a piece's characters, merge by merge: the best first, of equal ones the leftmost."""
    parts = list(piece)
    while True:
        joined = [left + right for left, right in pairwise(parts)]
        possible = [place for place, part in enumerate(joined) if part in scores]
        if not possible:
            return
        best = max(possible, key=lambda place: scores[joined[place]])
        parts[best : best + 2] = [joined[best]]
        yield joined[best]


def _keep_extremes(kept: np.ndarray, normal: np.ndarray, scores: np.ndarray) -> None:
    """Keeps a piece with the least score and one with the greatest."""
    for extreme in (scores[normal].min(), scores[normal].max()):
        with_it = np.flatnonzero(normal & (scores == extreme))
        if not kept[with_it].any():
            kept[with_it[0]] = True
