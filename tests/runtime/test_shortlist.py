"""The target ids that a batch may need."""

from pathlib import Path

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.shortlist import ShortlistTable

CANDIDATES = np.zeros((8, 2), "int32")
CANDIDATES[5], CANDIDATES[6], CANDIDATES[7] = [9, 12], [12, 0], [20, 21]


def test_a_batch_needs_what_its_sources_and_prefixes_need() -> None:
    table = ShortlistTable(CANDIDATES, np.array([15], "int32"))
    found = table.of([Sentence([5, 2]), Sentence([6, 2], prefix=[4])])
    assert found.tolist() == [0, 1, 2, 3, 4, 9, 12, 15]
    assert found.dtype == "int32"


def test_it_is_read_from_a_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "shortlist.npz", candidates=CANDIDATES, always=np.array([], "int32"))
    assert ShortlistTable.load(tmp_path / "shortlist.npz").of([Sentence([7, 2])]).tolist() == [0, 1, 2, 3, 20, 21]


@pytest.mark.parametrize("content", [b"", b"no arrays"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "shortlist.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"shortlist\.npz: not a shortlist; export the bundle again"):
        ShortlistTable.load(tmp_path / "shortlist.npz")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "shortlist.npz", candidates=np.array([{}], object), always=np.zeros(1))
    with pytest.raises(UserError, match="not a shortlist"):
        ShortlistTable.load(tmp_path / "shortlist.npz")
