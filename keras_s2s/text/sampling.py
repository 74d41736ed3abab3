"""Segmentations drawn at random from a SentencePiece model's pieces and scores.

SentencePiece draws with a generator of its own, which starts elsewhere in each process whatever the seed. Here numpy
draws, so that a training that is killed goes on with the very segmentations that it would have had.
"""

import re
from array import array
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import accumulate, chain, islice
from math import exp, log
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.errors import UserError
from keras_s2s.text.proto import MARK, parsed

_WORD = re.compile(f"{MARK}[^{MARK}]*|[^{MARK}]+")
_LONGEST_KEPT = 24  # what is drawn of longer words, and of text without spaces, hardly comes twice
_UNKNOWN_PENALTY = 10.0  # SentencePiece's, below the worst piece

Draw = Callable[[Sequence[str], float, np.random.Generator], list[Sequence[int]]]


class Sampler:
    """Draws segmentations of normalized texts, word by word: no piece goes over a space."""

    def __init__(self, model: bytes) -> None:
        """Takes a serialized SentencePiece model.

        Raises:
            UserError: its pieces are characters or words, or one goes over a space, or one is marked as unused.
        """
        proto = parsed(model)
        if not _has_subwords(proto):
            raise UserError(
                "sub-word sampling: a model of characters or words writes a text in one way; take bpe or unigram"
            )
        vocabulary = _Vocabulary(proto)
        self._unknown = vocabulary.unknown
        is_bpe = proto.trainer_spec.model_type == proto.trainer_spec.BPE
        self._draw: Draw = _BPEDropout(vocabulary) if is_bpe else _UnigramSampling(vocabulary)

    def __call__(self, texts: Iterable[str], alpha: float, rng: np.random.Generator) -> list[list[int]]:
        """Returns the ids of one segmentation of each text, as `Tokenizer.sample` says.

        Args:
            texts: as SentencePiece normalizes them, spaces being U+2581.
            alpha: 0 or more, finite.
            rng: makes all random choices.
        """
        words = [_WORD.findall(text) for text in texts]
        drawn = iter(self._draw([*chain.from_iterable(words)], alpha, rng))
        rows = [[*chain.from_iterable(islice(drawn, len(row)))] for row in words]
        return [_without_runs(row, self._unknown) if self._unknown in row else row for row in rows]


def has_subwords(model: bytes) -> bool:
    """Whether a serialized SentencePiece model can write a text in several ways."""
    return _has_subwords(parsed(model))


def _has_subwords(proto: Any) -> bool:
    spec = proto.trainer_spec
    return spec.model_type in (spec.BPE, spec.UNIGRAM)


def _without_runs(row: list[int], unknown: int) -> list[int]:
    """Unknown characters beside each other are one unknown id."""
    return [i for i, before in zip(row, [-1, *row], strict=False) if i != unknown or before != unknown]


class _Vocabulary:
    """The pieces of a model that sampling may use.

    Attributes:
        scores: pieces made by joining or learned as characters, and their scores. Pieces in which one of the user's
            symbols stands are not among them: a symbol is never divided, and never joined with anything.
        unknown: the unknown id.
        order: as many atoms as the longest piece has characters, at most.
    """

    def __init__(self, proto: Any) -> None:
        kinds = proto.SentencePiece
        known = {kinds.NORMAL, kinds.USER_DEFINED, kinds.UNUSED}
        pieces = [(number, piece) for number, piece in enumerate(proto.pieces) if piece.type in known]
        for _, piece in pieces:
            if MARK in piece.piece[1:] or piece.type == kinds.UNUSED:
                what = "is marked as unused" if piece.type == kinds.UNUSED else "goes over a space"
                raise UserError(
                    f"sub-word sampling: the model's piece {piece.piece!r} {what}; "
                    "take a model that keras_s2s.text.train made"
                )
        symbols = [piece.piece for _, piece in pieces if piece.type == kinds.USER_DEFINED]
        # Of symbols that begin alike the longest one is read.
        either = "|".join(map(re.escape, sorted(symbols, key=len, reverse=True)))
        self._atoms = re.compile(f"{either}|." if symbols else ".", re.DOTALL)
        within = re.compile(either or "(?!)")
        self.scores = {
            piece.piece: piece.score
            for _, piece in pieces
            if piece.type == kinds.NORMAL and not within.search(piece.piece)
        }
        self.order = max(map(len, self.scores), default=1)
        self.unknown: int = proto.trainer_spec.unk_id
        self._ids = {piece.piece: (number,) for number, piece in pieces}
        self._bytes = None
        if proto.trainer_spec.byte_fallback:
            numbers = {piece.piece: number for number, piece in enumerate(proto.pieces) if piece.type == kinds.BYTE}
            self._bytes = [numbers[f"<0x{byte:02X}>"] for byte in range(256)]

    def atoms(self, word: str) -> list[str]:
        """Divides a word into what no segmentation divides: symbols and characters."""
        return self._atoms.findall(word)

    def ids(self, part: str) -> tuple[int, ...]:
        """The id of a piece, or those of a character that is none."""
        found = self._ids.get(part)
        if found is not None:
            return found
        return (self.unknown,) if self._bytes is None else tuple(self._bytes[byte] for byte in part.encode())


class _Outcome(NamedTuple):
    """A word's segmentation after some merges were passed over.

    Attributes:
        ids: of the pieces.
        passed: places, in the order in which merges came up, of those that were passed over.
        later: how many came up after the last of these, and were made.
    """

    ids: Sequence[int]
    passed: tuple[int, ...]
    later: int


class _BPEDropout:
    """BPE in which each merge is passed over with probability alpha when it comes up (Provilkov et al. 2020).

    How many merges are made before one is passed over is geometrically distributed, so one number decides a word of
    which none is, and what follows a merge that is passed over is decided by one more number.
    """

    def __init__(self, vocabulary: _Vocabulary) -> None:
        self._vocabulary = vocabulary
        # SentencePiece joins the pair with the highest score first, of equal ones the leftmost; a heap gives the least.
        self._costs = {piece: -score for piece, score in vocabulary.scores.items()}
        self._outcome = lru_cache(maxsize=2**17)(self._merge)

    def __call__(self, words: Sequence[str], alpha: float, rng: np.random.Generator) -> list[Sequence[int]]:
        alpha = min(alpha, 1.0)
        outcomes = [
            self._outcome(word, ()) if len(word) <= _LONGEST_KEPT else self._at_once(word, alpha, rng) for word in words
        ]
        waiting = [*range(len(words))] if alpha else []
        while waiting:
            gaps = rng.geometric(alpha, len(waiting))
            later = np.fromiter((outcomes[n].later for n in waiting), np.int64, len(waiting))
            hit = np.flatnonzero(gaps <= later)
            waiting = [waiting[n] for n in hit.tolist()]
            for n, gap in zip(waiting, gaps[hit].tolist(), strict=True):
                passed = outcomes[n].passed
                outcomes[n] = self._outcome(words[n], (*passed, gap + (passed[-1] if passed else -1)))
        return [outcome.ids for outcome in outcomes]

    def _at_once(self, word: str, alpha: float, rng: np.random.Generator) -> _Outcome:
        """Draws a word whole. Each atom brings one pair, each merge two more."""
        passed = np.flatnonzero(rng.random(3 * len(word)) < alpha).tolist()
        return self._merge(word, tuple(passed))._replace(later=0)

    def _merge(self, word: str, passed: tuple[int, ...]) -> _Outcome:
        """Merges a word's atoms, but for the merges whose places `passed` gives in ascending order."""
        costs = self._costs
        parts = self._vocabulary.atoms(word)
        end = len(parts)
        before, after = [*range(-1, end - 1)], [*range(1, end + 1)]
        agenda: list[tuple[float, int, int, str]] = []  # (cost, left, right, both joined)
        for right in range(1, end):
            joined = parts[right - 1] + parts[right]
            if joined in costs:
                agenda.append((costs[joined], right - 1, right, joined))
        heapify(agenda)
        avoided = iter(passed)
        avoid, place = next(avoided, -1), -1
        while agenda:
            _, left, right, joined = heappop(agenda)
            if parts[left] + parts[right] != joined:
                continue  # one of them was merged with another
            place += 1
            if place == avoid:
                avoid = next(avoided, -1)
                continue
            parts[left], parts[right] = joined, ""
            after[left] = following = after[right]
            if following < end:
                before[following] = left
                further = joined + parts[following]
                if further in costs:
                    heappush(agenda, (costs[further], left, following, further))
            preceding = before[left]
            if preceding >= 0:
                further = parts[preceding] + joined
                if further in costs:
                    heappush(agenda, (costs[further], preceding, left, further))
        ids = chain.from_iterable(self._vocabulary.ids(part) for part in parts if part)
        return _Outcome(tuple(ids), passed, place - (passed[-1] if passed else -1))


class _Lattice(NamedTuple):
    """All segmentations of a word into pieces, as a graph from place to place, with edges sorted by where they start.

    Attributes:
        first: of each place, its first edge; the place behind the word has the number of all edges.
        chance: of each edge, its chance and that of the edges before it with the same start.
        ends: of each edge, the place where it ends.
        ids: of each edge, those of its piece.
    """

    first: array
    chance: array
    ends: array
    ids: tuple[tuple[int, ...], ...]


class _UnigramSampling:
    """Segmentations x drawn by p(x)^alpha (Kudo 2018).

    Sums over all segmentations of what follows a place, from right to left, give each edge's chance; then a walk from
    left to right draws the edges, one number each.
    """

    def __init__(self, vocabulary: _Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._unknown = min(vocabulary.scores.values(), default=0.0) - _UNKNOWN_PENALTY
        self._kept = lru_cache(maxsize=2**16)(self._lattice)

    def __call__(self, words: Sequence[str], alpha: float, rng: np.random.Generator) -> list[Sequence[int]]:
        numbers = iter(rng.random(sum(map(len, words))).tolist())
        drawn: list[Sequence[int]] = []
        for word in words:
            first, chance, ends, ids = (self._kept if len(word) <= _LONGEST_KEPT else self._lattice)(word, alpha)
            row: list[int] = []
            place, last = 0, len(first) - 1
            while place < last:
                edge = bisect(chance, next(numbers), first[place], first[place + 1])
                row += ids[edge]
                place = ends[edge]
            drawn.append(row)
        return drawn

    def _lattice(self, word: str, alpha: float) -> _Lattice:
        atoms = self._vocabulary.atoms(word)
        total = [0.0] * (len(atoms) + 1)  # the logarithm of the sum over all segmentations from a place to the end
        edges: list[list[tuple[float, int, str]]] = [[] for _ in total]
        for place in reversed(range(len(atoms))):
            # (weight, end, piece)
            found = [(alpha * score + total[end], end, piece) for score, end, piece in self._edges(atoms, place)]
            largest = max(found)[0]
            sums = [*accumulate([exp(edge[0] - largest) for edge in found])]
            total[place] = largest + log(sums[-1])
            edges[place] = [(part / sums[-1], *edge[1:]) for part, edge in zip(sums, found, strict=True)]
        flat = [*chain.from_iterable(edges)]
        return _Lattice(
            array("l", accumulate(map(len, edges[:-1]), initial=0)),
            array("d", [edge[0] for edge in flat]),
            array("l", [edge[1] for edge in flat]),
            tuple([self._vocabulary.ids(edge[2]) for edge in flat]),
        )

    def _edges(self, atoms: list[str], start: int) -> list[tuple[float, int, str]]:
        """The pieces that start at an atom: (score, end, piece). The atom by itself always is one."""
        scores, piece = self._vocabulary.scores, atoms[start]
        found = [(scores.get(piece, self._unknown), start + 1, piece)]
        for end, atom in enumerate(atoms[start + 1 : start + self._vocabulary.order], start + 2):
            piece += atom
            if piece in scores:
                found.append((scores[piece], end, piece))
        return found
