import threading
from collections.abc import Iterator

import pytest

from keras_s2s.runtime.windows import windows


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_all_lines_come_in_order(size: int) -> None:
    lines = [str(number) for number in range(500)]
    found = list(windows(lines, size))
    assert [line for window in found for line in window] == lines
    assert all(1 <= len(window) <= size for window in found)


def test_no_lines_give_no_window() -> None:
    assert list(windows([], 4)) == []


def test_a_line_is_given_before_the_source_has_another() -> None:
    answered = threading.Event()

    def lines() -> Iterator[str]:
        yield "question"
        assert answered.wait(30), "the second line was wanted before the first was given"
        yield "next question"

    source = windows(lines(), 512)
    assert next(source) == ["question"]
    answered.set()
    assert next(source) == ["next question"]


def test_an_error_comes_after_the_lines_before_it() -> None:
    def lines() -> Iterator[str]:
        yield "good"
        raise ValueError("line 2 is bad")

    source = windows(lines(), 512)
    assert next(source) == ["good"]
    with pytest.raises(ValueError, match="line 2 is bad"):
        next(source)


def test_an_abandoned_source_is_read_no_further() -> None:
    count = 0
    ended = threading.Event()

    def lines() -> Iterator[str]:
        nonlocal count
        try:
            while True:
                count += 1
                yield "line"
        finally:
            ended.set()

    iterator = lines()
    source = windows(iterator, 4)
    next(source)
    source.close()
    # The thread lets go of its iterator when it ends.
    del iterator
    assert ended.wait(30)
    assert count <= 4 + 4 + 2
