import random

import pytest

from keras_s2s.evaluation.lengths import length_buckets


def test_five_buckets_of_as_many_lines() -> None:
    buckets = length_buckets(list(range(100, 0, -1)))
    assert [(bucket.shortest, bucket.longest) for bucket in buckets] == [
        (1, 20),
        (21, 40),
        (41, 60),
        (61, 80),
        (81, 100),
    ]
    assert buckets[0].lines == tuple(range(80, 100))


@pytest.mark.parametrize("lines", [1, 9, 19, 35, 60, 500])
def test_every_line_is_in_one_bucket_and_none_is_small(lines: int) -> None:
    draw = random.Random(lines)
    lengths = [int(draw.lognormvariate(2, 0.7)) for _ in range(lines)]
    buckets = length_buckets(lengths)
    assert sorted(line for bucket in buckets for line in bucket.lines) == list(range(lines))
    assert len(buckets) <= min(5, max(1, lines // 10))
    for bucket in buckets:
        assert len(bucket.lines) >= min(10, lines)
        some = [lengths[line] for line in bucket.lines]
        assert (min(some), max(some)) == (bucket.shortest, bucket.longest)


def test_equal_lengths_stay_together() -> None:
    assert [len(bucket.lines) for bucket in length_buckets([7] * 200)] == [200]
    assert [len(bucket.lines) for bucket in length_buckets([1] * 150 + [2] * 50)] == [150, 50]
    # A few long ones do not make a bucket of their own.
    assert [len(bucket.lines) for bucket in length_buckets([1] * 97 + [90] * 3)] == [100]
