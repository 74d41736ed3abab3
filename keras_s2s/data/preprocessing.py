"""Preprocessing of training text: what is changed, what is left out, and why.

All of it is for the training data: dev and test data stay as they were written, since that is what the shipped model
meets. A source's Unicode normalization that the shipped model shall do as well belongs into the tokenizer
(`text.train(normalization="nfd")`), which is part of the model. A target decomposed here comes out of the model
decomposed.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from keras_s2s.config import Config
from keras_s2s.data.pairs import Pairs
from keras_s2s.errors import UserError

Unit = Literal["characters", "words"]
_SHINGLE = 5  # characters


@dataclass(frozen=True)
class Finding:
    """The effect of one piece of preprocessing on some pairs.

    Attributes:
        piece: its kind.
        reason: why they were left out, or what was done to them.
        dropped: whether they were left out.
        count: how many.
        example: the first of them, source and target as they were.
    """

    piece: str
    reason: str
    dropped: bool
    count: int
    example: tuple[str, str]


class Normalize(Config):
    """Brings texts into a Unicode normal form.

    Args:
        kind: its name.
        form: see Unicode Standard Annex 15; NFD decomposes, NFC composes, the K forms take compatible characters.
        sides: which texts.
    """

    kind: Literal["normalize"] = "normalize"
    form: Literal["NFC", "NFD", "NFKC", "NFKD"]
    sides: tuple[Literal["source", "target"], ...] = Field(default=("source", "target"), min_length=1)

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns as many pairs."""
        sources, targets = list(pairs.sources), list(pairs.targets)
        if "source" in self.sides:
            sources = [unicodedata.normalize(self.form, text) for text in sources]
        if "target" in self.sides:
            targets = [unicodedata.normalize(self.form, text) for text in targets]
        changed = replace(pairs, sources=sources, targets=targets)
        rows = [
            row for row in range(len(pairs)) if (sources[row], targets[row]) != (pairs.sources[row], pairs.targets[row])
        ]
        return changed, _findings(pairs, self.kind, {f"made {self.form}": rows}, dropped=False)


class Length(Config):
    """Leaves out pairs with a text that is too short or too long.

    Args:
        kind: its name.
        minimum: of each text.
        maximum: of each text.
        unit: what is counted; words are what white space separates.
    """

    kind: Literal["length"] = "length"
    minimum: NonNegativeInt = 1
    maximum: PositiveInt
    unit: Unit = "words"

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns the pairs that are left."""
        return _filter(pairs, self.kind, self._reason)

    def _reason(self, source: str, target: str) -> str | None:
        for side, text in (("source", source), ("target", target)):
            if (length := _count(text, self.unit)) < self.minimum:
                return f"{side} under {self.minimum} {self.unit}"
            if length > self.maximum:
                return f"{side} over {self.maximum} {self.unit}"
        return None


class LengthRatio(Config):
    """Leaves out pairs with one text that is much longer than the other.

    Args:
        kind: its name.
        maximum: of the longer text's length by the shorter one's; an empty text counts 1.
        unit: see `Length`.
    """

    kind: Literal["length_ratio"] = "length_ratio"
    maximum: Annotated[float, Field(ge=1)]
    unit: Unit = "words"

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns the pairs that are left."""
        return _filter(pairs, self.kind, self._reason)

    def _reason(self, source: str, target: str) -> str | None:
        lengths = [max(1, _count(text, self.unit)) for text in (source, target)]
        if max(lengths) <= self.maximum * min(lengths):
            return None
        side = "source" if lengths[0] > lengths[1] else "target"
        return f"{side} over {self.maximum:g} times as many {self.unit}"


class Duplicates(Config):
    """Leaves out pairs that were there before, both sides the same.

    Args:
        kind: its name.
    """

    kind: Literal["duplicates"] = "duplicates"

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns the first of each."""
        seen: set[tuple[str, str]] = set()

        def reason(source: str, target: str) -> str | None:
            if (source, target) in seen:
                return "the same pair before"
            seen.add((source, target))
            return None

        return _filter(pairs, self.kind, reason)


class NearDuplicates(Config):
    """Leaves out pairs that are nearly one that was there before, by MinHash (Broder 1997) and its hashing into bands.

    A pair is the set of its sequences of 5 characters, source and target apart, lower-cased, white space as one space.
    Two pairs are near if the Jaccard similarity of their sets is about `similarity` or more: it is estimated with 128
    hash functions, and pairs near that limit may be taken for either.

    Args:
        kind: its name.
        similarity: of 0 to 1, 1 the same set.
    """

    kind: Literal["near_duplicates"] = "near_duplicates"
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.8

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns the first of each."""
        from datasketch import MinHash, MinHashLSH

        # The index shall miss few: what it finds too much, the estimate below sorts out.
        index = MinHashLSH(threshold=self.similarity, num_perm=128, weights=(0.1, 0.9))
        hashes: dict[int, Any] = {}

        def reason(source: str, target: str) -> str | None:
            minhash = MinHash(num_perm=128, hashfunc=_hash)
            minhash.update_batch(_shingles(source, target))
            if any(minhash.jaccard(hashes[near]) >= self.similarity for near in index.query(minhash)):
                return f"about {self.similarity:.0%} the same as a pair before"
            hashes[len(hashes)] = minhash
            index.insert(len(hashes) - 1, minhash)
            return None

        return _filter(pairs, self.kind, reason)


Piece = Annotated[Normalize | Length | LengthRatio | Duplicates | NearDuplicates, Field(discriminator="kind")]


def preprocess(pairs: Pairs, pieces: Sequence[Piece]) -> tuple[Pairs, list[Finding]]:
    """Applies pieces one after the other, and says what each of them did.

    Raises:
        UserError: the sources are features; or no pair is left.
    """
    if pieces and pairs.has_features:
        raise UserError("preprocessing: is for text, but the sources are features; leave it out")
    findings: list[Finding] = []
    for piece in pieces:
        before = len(pairs)
        pairs, found = piece(pairs)
        findings += found
        if not len(pairs):
            raise UserError(f"preprocessing: {piece.kind}: leaves out all of {before} pairs, {found[0].reason}")
    return pairs, findings


def _filter(pairs: Pairs, piece: str, reason: Callable[[str, str], str | None]) -> tuple[Pairs, list[Finding]]:
    """Leaves out the pairs for which there is a reason."""
    kept: list[int] = []
    dropped: dict[str, list[int]] = {}
    for row, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        why = reason(source, target)
        if why is None:
            kept.append(row)
        else:
            dropped.setdefault(why, []).append(row)
    return pairs.take(kept), _findings(pairs, piece, dropped, dropped=True)


def _findings(pairs: Pairs, piece: str, rows_by_reason: dict[str, list[int]], dropped: bool) -> list[Finding]:
    return [
        Finding(piece, reason, dropped, len(rows), (pairs.sources[rows[0]], pairs.targets[rows[0]]))
        for reason, rows in rows_by_reason.items()
        if rows
    ]


def _count(text: str, unit: Unit) -> int:
    return len(text) if unit == "characters" else len(text.split())


def _shingles(source: str, target: str) -> list[bytes]:
    shingles = set()
    for side, text in (("s", source), ("t", target)):
        clean = " ".join(text.lower().split())
        ends = range(_SHINGLE, max(_SHINGLE, len(clean)) + 1)
        shingles |= {f"{side}{clean[end - _SHINGLE : end]}" for end in ends}
    return [shingle.encode("utf-8", "surrogatepass") for shingle in sorted(shingles)]


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "little")
