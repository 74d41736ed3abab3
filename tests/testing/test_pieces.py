"""The check of a piece of preprocessing names what is wrong with one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from keras_s2s.data import PIECES, Finding, PairFilter, Pairs, Piece, WholeCorpusPiece
from keras_s2s.testing import check_piece

PAIRS = Pairs([*"abcabcabcabc"], [*"xyzxxyzzxyyz"], [float(n) for n in range(1, 13)])


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten behind it."""
    monkeypatch.setattr(PIECES, "_pieces", dict(PIECES._pieces))


class NoX(PairFilter):
    """Leaves out targets with an x."""

    kind: Literal["no_x"] = "no_x"

    def reason(self, source: str, target: str) -> str | None:
        return "an x" if "x" in target else None


class NoA(WholeCorpusPiece):
    """Leaves out one source."""

    kind: Literal["no_a"] = "no_a"

    @property
    def reason(self) -> str:
        return "an a"

    def signatures(self, pairs: Pairs) -> np.ndarray:
        return np.array([ord(source) for source in pairs.sources], np.uint32)

    def kept(self, signatures: np.ndarray) -> np.ndarray:
        return signatures != ord("a")


def test_a_filter_that_is_right() -> None:
    PIECES.register(NoX)
    kept = [row for row in range(12) if PAIRS.targets[row] != "x"]
    assert check_piece({"kind": "no_x"}, PAIRS, expected=PAIRS.take(kept)) == PAIRS.take(kept)


def test_a_piece_of_the_whole_corpus_that_is_right() -> None:
    PIECES.register(NoA)
    assert "a" not in check_piece({"kind": "no_a"}, PAIRS).sources


class Unweighted(NoX):
    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        left, found = super().__call__(pairs)
        return Pairs(left.sources, left.targets), found


class Turned(NoX):
    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        left, found = super().__call__(pairs)
        return left.take(reversed(range(len(left)))), found


class Silent(NoX):
    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        return super().__call__(pairs)[0], []


class Miscounted(NoX):
    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        left, found = super().__call__(pairs)
        return left, [replace(finding, count=finding.count + 1) for finding in found]


class OfAnother(NoX):
    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        left, found = super().__call__(pairs)
        return left, [replace(finding, piece="other") for finding in found]


class OfBlocks(NoX):
    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        left, found = super().__call__(pairs)
        if len(pairs) > 3:
            return left, found
        return pairs, []


class Nothing(NoX):
    def reason(self, source: str, target: str) -> str | None:
        return None


class Everything(NoX):
    def reason(self, source: str, target: str) -> str | None:
        return "all"


class Changing(Piece):
    kind: str = "changing"

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        pairs.sources[0] = "!"  # type: ignore[index]
        return pairs, [Finding.of(self.kind, "made !", pairs, [0], dropped=False)]


class OtherType(NoA):
    def signatures(self, pairs: Pairs) -> np.ndarray:
        return super().signatures(pairs).astype(np.int64 if len(pairs) > 3 else np.int32)


class OfPlaces(NoA):
    def signatures(self, pairs: Pairs) -> np.ndarray:
        return np.arange(len(pairs), dtype=np.uint32) + ord("a")


class Places(NoA):
    def kept(self, signatures: np.ndarray) -> np.ndarray:
        return np.flatnonzero(super().kept(signatures))

    def sift(self, pairs: Pairs, kept: np.ndarray) -> tuple[Pairs, list[Finding]]:
        return super().sift(pairs, np.isin(np.arange(len(pairs)), kept))


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (Unweighted, "the weights of the pairs are gone"),
        (Turned, "the pairs left are not some of those given, in their order"),
        (Silent, "did nothing; give options and pairs"),
        (Nothing, "did nothing; give options and pairs"),
        (Everything, "left no pair; give options and pairs"),
        (Miscounted, "found 5 pairs to leave out, and left out 4"),
        (OfAnother, "a finding is of 'other'"),
        (OfBlocks, "a corpus in blocks leaves other pairs"),
        (Changing, "changed the pairs that it was given"),
        (OtherType, "signatures are (3,) int32; expected (3,) int64"),
        (OfPlaces, "the signatures of a block are not those of the whole corpus"),
        (Places, "kept() gave (8,) int64; expected (12,) bool"),
    ],
)
def test_what_is_wrong_is_named(piece: type[Piece], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = piece.model_fields["kind"].default
    monkeypatch.setitem(PIECES._pieces, kind, piece)
    pairs = Pairs(list(PAIRS.sources), PAIRS.targets, PAIRS.weights)
    with pytest.raises(AssertionError) as error:
        check_piece({"kind": kind}, pairs)
    assert f"{kind}: {message}" in str(error.value)


def test_options_that_are_not_written_as_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lossy(NoX):
        rate: float = 1

        def model_dump(self, **options: Any) -> Mapping[str, Any]:  # type: ignore[override]
            return {"kind": "no_x"}

    monkeypatch.setitem(PIECES._pieces, "no_x", Lossy)
    with pytest.raises(AssertionError, match="written as JSON and read again"):
        check_piece({"kind": "no_x", "rate": 0.5}, PAIRS)
