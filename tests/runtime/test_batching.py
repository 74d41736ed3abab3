import numpy as np
import pytest

from keras_s2s.runtime.batching import map_batches


def test_order_is_restored_over_batches_of_like_length() -> None:
    generator = np.random.default_rng(1)
    rows = [[number] * generator.integers(1, 50) for number in range(100)]
    seen: list[list[int]] = []

    def first_ids(batch: list) -> list[int]:
        seen.append([len(row) for row in batch])
        return [row[0] for row in batch]

    assert map_batches(first_ids, rows, 8) == list(range(100))
    assert [len(batch) for batch in seen] == [8] * 12 + [4]
    lengths = [length for batch in seen for length in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_no_rows_need_no_call() -> None:
    def fail(batch: list) -> list:
        raise AssertionError("called")

    assert map_batches(fail, [], 8) == []


def test_a_missing_result_is_an_error() -> None:
    with pytest.raises(ValueError):
        map_batches(lambda batch: batch[1:], [[5], [6]], 8)
