"""Fingerprints of pairs are those by which finished runs know their data."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs
from keras_s2s.data.columns import mapped_pairs, pair_columns
from keras_s2s.data.corpus_map import MapWriter, Part, open_map
from keras_s2s.recipe import fingerprints
from keras_s2s.recipe.fingerprints import of_file, of_pairs

FRAMES = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((1, 3), np.float32)]
CASES = {
    "texts": Pairs(["ab", "", "世\ud800"], ["1", "23", ""]),
    "weights": Pairs(["a", "b", "c"], ["d", "", "f"], [1.0, 0.5, 1e-07]),
    "features": Pairs(FRAMES, ["a", "b"]),
    "features with weights": Pairs(FRAMES, ["a", "b"], [2.0, 3.25]),
}


def defined(pairs: Pairs) -> str:
    """As it is defined."""
    digest = hashlib.sha256()
    for row in (*pairs.sources, *pairs.targets, *(pairs.weights or ())):
        content = row.tobytes() if isinstance(row, np.ndarray) else str(row).encode("utf-8", "surrogatepass")
        digest.update(f"{len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def mapped(pairs: Pairs, folder: Path) -> Pairs:
    writer = MapWriter(folder)
    for rows in (range(1), range(1, len(pairs))):
        columns: dict[str, Any] = pair_columns(pairs.take(rows))
        if pairs.weights is None:
            del columns["weight"]
        writer.append(Part.of(columns))
    writer.finish()
    return mapped_pairs(open_map(folder))


@pytest.mark.parametrize("case", CASES)
def test_pairs_have_the_fingerprint_that_is_defined(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_ROWS", 2)
    pairs = CASES[case]
    assert of_pairs(pairs) == of_pairs(mapped(pairs, tmp_path / "map")) == defined(pairs)


def test_fingerprints_of_earlier_versions() -> None:
    """Those that commit 4e2b2f5 computed: else every finished run would be repeated."""
    assert {case: of_pairs(pairs)[:16] for case, pairs in CASES.items()} == {
        "texts": "0f6c5fc09e84045b",
        "weights": "2461194fd5f0debc",
        "features": "ee437487ceb66553",
        "features with weights": "1d3ac0b18d978b03",
    }


def test_what_is_different_has_other_fingerprints() -> None:
    others = [
        Pairs(["a", "b"], ["c", "d"]),
        Pairs(["ab", ""], ["c", "d"]),
        Pairs(["b", "a"], ["c", "d"]),
        Pairs(["a", "b"], ["c", "d"], [1.0, 1.0]),
        Pairs(["a", "b"], ["c", "d"], [1.0, 2.0]),
    ]
    assert len({of_pairs(pairs) for pairs in others}) == len(others)


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert of_file(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()
    with pytest.raises(UserError) as error:
        of_file(tmp_path / "b")
    assert str(error.value) == f"{tmp_path / 'b'}: cannot be read: No such file or directory; check the name"
