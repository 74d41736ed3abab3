"""Rows that are equal or nearly so, in little memory: the same as with dicts."""

import tempfile
import tracemalloc
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s.data import Duplicates, NearDuplicates, Pairs
from keras_s2s.data.preprocessing import buckets, equal_keys, near_duplicates, scratch
from keras_s2s.errors import UserError


@pytest.fixture(params=[None, 64])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, where all fits into one part, and with many parts."""
    if request.param:
        for module in (buckets, equal_keys, near_duplicates, scratch):
            monkeypatch.setattr(module, "_AT_ONCE", request.param)


def hashes(shape: tuple[int, ...], values: int) -> np.ndarray:
    """Some of a few values, spread over all of 64 bits."""
    rng = np.random.default_rng(3)
    return rng.integers(1 << 64, size=values, dtype=np.uint64)[rng.integers(values, size=shape)]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_rows_with_equal_keys_are_beside_each_other(rows: int) -> None:
    keys, among = hashes((rows, 2), 20), np.arange(rows) % 3 > 0
    expected = defaultdict(list)
    for row in np.flatnonzero(among):
        expected[tuple(keys[row])].append(row)
    found = []
    for some, begins in equal_keys.equal_keys(keys, among):
        assert begins[:1].all()
        found += [part.tolist() for part in np.split(some, np.flatnonzero(begins)[1:]) if len(part)]
    assert sorted(found) == sorted(expected.values())


@pytest.mark.usefixtures("at_once")
def test_buckets_hold_what_dicts_hold() -> None:
    keys, among = hashes((5, 600), 300), np.arange(600) % 5 > 0
    keys[:, 7] = np.arange(5)
    made = buckets.Buckets(keys, among)
    shared = [row for row in range(600) if among[row] and any((key[among] == key[row]).sum() > 1 for key in keys)]
    assert list(made.rows()) == shared
    assert 7 not in shared
    dicts: list[dict[Any, list[int]]] = [defaultdict(list) for _ in keys]
    for row in shared:
        beside = {other for key, values in zip(keys, dicts, strict=True) for other in values[key[row]]}
        assert made.beside(row).tolist() == sorted(beside)
        if row % 4:
            made.add(row)
            for key, values in zip(keys, dicts, strict=True):
                values[key[row]].append(row)


@pytest.mark.usefixtures("at_once")
def test_the_first_of_equal_pairs_is_kept() -> None:
    rng = np.random.default_rng(2)
    texts = [str(number) for number in rng.integers(300, size=1000)]
    signatures = Duplicates().signatures(Pairs(texts, texts))
    seen = [text not in texts[:row] for row, text in enumerate(texts)]
    assert Duplicates().kept(signatures).tolist() == seen


def test_two_sides_are_not_one_text() -> None:
    signatures = Duplicates().signatures(Pairs(["ab", "a", "a ", "a"], ["c", "bc", "b", " b"]))
    assert len({tuple(row) for row in signatures.tolist()}) == 4


def like_minhashes(rows: int) -> np.ndarray:
    """Random ones; a third of the rows are like an earlier one in a random share of all places, some in all."""
    rng = np.random.default_rng(4)
    made = rng.integers(1 << 32, size=(rows, 128), dtype=np.uint32)
    for row in range(1, rows, 3):
        same = rng.random(128) < rng.choice([0.6, 0.75, 0.8, 0.85, 1])
        made[row, same] = made[rng.integers(row), same]
    return made


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("similarity", [0.3, 0.8, 0.99])
def test_near_rows_are_those_of_the_library_s_index(similarity: float) -> None:
    from datasketch import MinHash, MinHashLSH

    signatures = like_minhashes(1500)
    index = MinHashLSH(threshold=similarity, num_perm=128, weights=(0.1, 0.9))
    kept: dict[int, MinHash] = {}
    for row, values in enumerate(signatures):
        minhash = MinHash(hashvalues=values, scheme="affine32")
        if all(minhash.jaccard(kept[near]) < similarity for near in index.query(minhash)):
            kept[row] = minhash
            index.insert(row, minhash)
    assert np.flatnonzero(NearDuplicates(similarity=similarity).kept(signatures)).tolist() == list(kept)
    assert len(kept) < 1450


@pytest.mark.parametrize(("piece", "bytes_a_row"), [(Duplicates(), 16), (NearDuplicates(), 60)])
def test_memory_is_small(piece: Any, bytes_a_row: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of numpy and Python, without maps of files. Parts are smaller than in earnest, as the rows are fewer."""
    for module in (buckets, equal_keys, scratch):
        monkeypatch.setattr(module, "_AT_ONCE", 1 << 11)
    monkeypatch.setattr(near_duplicates, "_AT_ONCE", 1 << 7)
    made = (
        like_minhashes(20_000) if isinstance(piece, NearDuplicates) else hashes((20_000, 1), 15_000).repeat(2, axis=1)
    )
    signatures = np.memmap(tmp_path / "signatures", made.dtype, "w+", shape=made.shape)
    signatures[:] = made
    piece.kept(signatures[:100])
    tracemalloc.start()
    kept = piece.kept(signatures)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 < kept.mean() < 0.9
    assert peak < bytes_a_row * len(made)


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "r+b"))
    with pytest.raises(UserError, match=r"^.*: a temporary file cannot be written: No space left on device; make room"):
        scratch.zeros((3, 4), np.int64)
