"""Checks of a piece of preprocessing."""

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_s2s.data import PIECES, Finding, Pairs, Piece, WholeCorpusPiece, merged


def check_piece(options: Mapping[str, Any], pairs: Pairs, expected: Pairs | None = None) -> Pairs:
    """Checks that a recipe can name a piece and that it keeps its contract; returns the pairs that it leaves.

    Args:
        options: as in a recipe's `data.preprocessing`, such as `{"kind": "length", "maximum": 100}`. They must be such
            that some of the pairs are changed or left out, and some stay.
        pairs: texts, a dozen or more.
        expected: the pairs that are left.

    Raises:
        AssertionError: the contract is broken; says how.
    """
    piece = PIECES.parse(dict(options))
    kind = piece.kind
    assert PIECES[kind] is type(piece), f"{kind}: another class is registered under this kind"
    again = PIECES.parse(piece.model_dump(mode="json"))
    assert again == piece, f"{kind}: written as JSON and read again, the options are {again}, not {piece}"
    before, rows = _rows(pairs), range(1, len(pairs) + 1)
    # Weights tell which pairs are left.
    numbered = Pairs(pairs.sources, pairs.targets, list(rows))
    left, findings = piece(numbered)
    assert _rows(pairs) == before, f"{kind}: changed the pairs that it was given; make new ones"
    assert left.weights is not None, f"{kind}: the weights of the pairs are gone; keep them, as Pairs.take does"
    kept = list(map(int, left.weights))
    assert kept == sorted(set(kept) & set(rows)), f"{kind}: the pairs left are not some of those given, in their order"
    _check_findings(findings, numbered, left, kind)
    _check_blocks(piece, numbered, left, findings)
    result = Pairs(left.sources, left.targets, None if pairs.weights is None else [pairs.weights[i - 1] for i in kept])
    if expected is not None:
        assert _rows(result) == _rows(expected), f"{kind}: left {result}, expected {expected}"
    return result


def _rows(pairs: Pairs) -> list[tuple[str, str, float]]:
    return [(source, target, weight or 1.0) for source, target, weight in pairs]


def _check_findings(findings: Sequence[Finding], pairs: Pairs, left: Pairs, kind: str) -> None:
    assert len(left), f"{kind}: left no pair; give options and pairs with which some stay"
    assert findings, f"{kind}: did nothing; give options and pairs with which it does"
    dropped = sum(finding.count for finding in findings if finding.dropped)
    gone = len(pairs) - len(left)
    assert dropped == gone, f"{kind}: found {dropped} pairs to leave out, and left out {gone}"
    there = set(zip(pairs.sources, pairs.targets, strict=True))
    for finding in findings:
        assert finding.piece == kind, f"{kind}: a finding is of '{finding.piece}'; give it the kind of the piece"
        assert set(finding.examples) <= there, f"{kind}: an example is none of the pairs: {finding.examples}"


def _check_blocks(piece: Piece, pairs: Pairs, left: Pairs, findings: Sequence[Finding]) -> None:
    """A corpus in blocks, some of them empty, in a process of its own each, gives the same."""
    kind, copy = piece.kind, pickle.loads(pickle.dumps(piece))
    blocks = [pairs.take(range(begin, min(begin + 3, len(pairs)))) for begin in range(0, len(pairs), 3)]
    blocks.insert(1, pairs.take(()))
    if isinstance(copy, WholeCorpusPiece):
        chosen = _chosen(copy, pairs, blocks)
        ends = np.cumsum([len(block) for block in blocks])[:-1]
        done = [copy.sift(block, part) for block, part in zip(blocks, np.split(chosen, ends), strict=True)]
    else:
        done = [copy(block) for block in reversed(blocks)][::-1]
    rows = [row for some, _ in done for row in _rows(some)]
    assert rows == _rows(left), f"{kind}: a corpus in blocks leaves other pairs than as a whole: {rows}"
    found = merged(finding for _, some in done for finding in some)
    assert found == merged(findings), f"{kind}: a corpus in blocks gives other findings than as a whole: {found}"


def _chosen(piece: WholeCorpusPiece, pairs: Pairs, blocks: Sequence[Pairs]) -> np.ndarray:
    kind, whole = piece.kind, piece.signatures(pairs)
    parts = [piece.signatures(block) for block in blocks]
    for part, block in zip(parts, blocks, strict=True):
        expected = (len(block), *whole.shape[1:])
        is_right = part.shape == expected and part.dtype == whole.dtype
        assert is_right, f"{kind}: signatures are {part.shape} {part.dtype}; expected {expected} {whole.dtype}"
    signatures = np.concatenate(parts)
    assert np.array_equal(signatures, whole), f"{kind}: the signatures of a block are not those of the whole corpus"
    signatures.flags.writeable = False
    kept = piece.kept(signatures)
    is_right = kept.shape == (len(pairs),) and kept.dtype == bool
    assert is_right, f"{kind}: kept() gave {kept.shape} {kept.dtype}; expected ({len(pairs)},) bool"
    return kept
