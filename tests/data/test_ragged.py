"""Rows of different lengths in one array, against lists."""

import numpy as np
import pytest

from keras_s2s.data.ragged import Ragged

ROWS = [[4, 5, 2], [], [2], [7, 7, 7, 2], []]


def as_lists(ragged: Ragged) -> list[list[int]]:
    return [row.tolist() for row in ragged]


def test_rows_are_those_that_were_given() -> None:
    ragged = Ragged.of(ROWS)
    assert as_lists(ragged) == [ragged[row].tolist() for row in range(len(ROWS))] == ROWS
    assert ragged.lengths.tolist() == [3, 0, 1, 4, 0]
    assert ragged[-2].tolist() == ROWS[-2]
    assert as_lists(ragged[1:4]) == ROWS[1:4]
    assert as_lists(ragged[::-2]) == ROWS[::-2] and as_lists(ragged[3:3]) == []
    assert Ragged.of(ragged) is ragged


def test_lengths_of_some_rows() -> None:
    ragged = Ragged.of(ROWS)
    for span in (slice(None), slice(1, 4), slice(2, 2), slice(3, 99)):
        assert ragged.lengths_at(span).tolist() == [len(row) for row in ROWS[span]]
        assert ragged[span].lengths.tolist() == [len(row) for row in ROWS[span]]
    for dtype in (np.int64, np.uint32, np.uint64):
        assert ragged.lengths_at(np.array([3, 0, 0, 4], dtype)).tolist() == [4, 3, 3, 0]


@pytest.mark.parametrize("rows", [[3, 0, 0, 1], [], [4, 1], [-1, -2]], ids=str)
def test_some_are_taken_in_any_order(rows: list[int]) -> None:
    assert as_lists(Ragged.of(ROWS).take(rows)) == [ROWS[row] for row in rows]
    assert as_lists(Ragged.of(ROWS).take(rows).take(range(len(rows)))) == [ROWS[row] for row in rows]


def test_joined() -> None:
    parts = [Ragged.of(ROWS), Ragged.of([]), Ragged.of([[70000], [2]])]
    assert as_lists(Ragged.join(parts)) == [*ROWS, [70000], [2]]


def test_padding() -> None:
    assert Ragged.of(ROWS).padded().tolist() == [[4, 5, 2, 0], [0] * 4, [2, 0, 0, 0], [7, 7, 7, 2], [0] * 4]
    assert Ragged.of([[1], [2, 3]]).padded(-1).tolist() == [[1, -1], [2, 3]]
    assert Ragged.of([[1], [2, 3]]).padded(least=3).tolist() == [[1, 0, 0], [2, 3, 0]]
    assert Ragged.of([[1], [2, 3]]).padded(least=1).tolist() == [[1, 0], [2, 3]]
    frames = Ragged.of([np.ones((2, 3), "float32"), np.full((1, 3), 2, "float32")])
    assert frames.padded().tolist() == [[[1] * 3, [1] * 3], [[2] * 3, [0] * 3]]
    assert frames.padded().dtype == np.float32 and Ragged.of(ROWS).padded().dtype == np.int32


@pytest.mark.parametrize(("largest", "dtype"), [(65535, np.uint16), (65536, np.int32)])
def test_ids_take_16_bits_where_they_fit(largest: int, dtype: type) -> None:
    ragged = Ragged.of([[largest, 2]])
    assert ragged.values.dtype == dtype and ragged.padded().tolist() == [[largest, 2]]
    assert Ragged.of([[-1, 2]]).values.dtype == np.int32


@pytest.mark.parametrize(("given", "dtype"), [("int64", np.int32), ("float64", np.float32), ("float16", np.float32)])
def test_arrays_of_any_type_are_batches_of_the_usual_ones(given: str, dtype: type) -> None:
    for row in ([4, 2], [[4, 5]]) if given.startswith("float") else ([4, 2], [-1, 2], [70000, 2]):
        padded = Ragged.of([np.array(row, given)]).padded()
        assert padded.dtype == dtype and padded.tolist() == [row]


def test_rows_of_a_map_of_a_file(tmp_path) -> None:
    np.array([4, 5, 2, 7, 2], np.uint16).tofile(tmp_path / "ids")
    ragged = Ragged(np.memmap(tmp_path / "ids", np.uint16, "r"), np.array([3, 5]))
    assert as_lists(ragged.take([1, 0])) == [[7, 2], [4, 5, 2]]
