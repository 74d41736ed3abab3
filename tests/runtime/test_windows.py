import contextlib
import threading
from collections.abc import Iterable, Iterator

import pytest

from keras_s2s.runtime.windows import PATIENCE_SECONDS, windows


def taken(lines: Iterable[str], size: int, full: bool = False) -> Iterator[list[str]]:
    """The windows alone."""
    return (window for window in windows(lines, size, full) if window is not None)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_all_lines_come_in_order(size: int) -> None:
    lines = [str(number) for number in range(500)]
    found = list(taken(lines, size))
    assert [line for window in found for line in window] == lines
    assert all(1 <= len(window) <= size for window in found)


def test_it_says_that_no_line_is_there_before_it_waits() -> None:
    goes_on = threading.Event()

    def lines() -> Iterator[str]:
        yield "one"
        assert goes_on.wait(30), "it was not said that no line is there"
        yield "two"

    source = windows(lines(), 512)
    found = []
    for window in source:
        found.append(window)
        if window is None and ["one"] in found:
            goes_on.set()
    assert [window for window in found if window is not None] == [["one"], ["two"]]


def test_full_windows_wait_for_a_slow_source() -> None:
    def lines() -> Iterator[str]:
        for number in range(5):
            threading.Event().wait(1.5 * PATIENCE_SECONDS)
            yield str(number)

    assert list(windows(lines(), 2, full=True)) == [["0", "1"], ["2", "3"], ["4"]]


def test_no_lines_give_no_window() -> None:
    assert list(taken([], 4)) == []


def test_a_line_is_given_before_the_source_has_another() -> None:
    answered = threading.Event()

    def lines() -> Iterator[str]:
        yield "question"
        assert answered.wait(30), "the second line was wanted before the first was given"
        yield "next question"

    source = taken(lines(), 512)
    assert next(source) == ["question"]
    answered.set()
    assert next(source) == ["next question"]


def test_an_error_comes_after_the_lines_before_it() -> None:
    def lines() -> Iterator[str]:
        yield "good"
        raise ValueError("line 2 is bad")

    source = taken(lines(), 512)
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
    assert any(window is not None for window in source)
    source.close()
    # The thread lets go of its iterator when it ends.
    del iterator
    assert ended.wait(30)
    assert count <= 4 + 2 * 4 + 2


def test_an_interruption_while_it_waits_for_lines_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    enter, to_come, ended = threading.Condition.__enter__, [KeyboardInterrupt], []

    def consume() -> None:
        found = windows(map(str, range(100)), 8, full=True)
        next(found)  # The thread that reads has begun.
        monkeypatch.setattr(threading.Condition, "__enter__", interrupted)
        with contextlib.suppress(KeyboardInterrupt):
            list(found)
        ended.append(True)

    consumer = threading.Thread(target=consume, daemon=True)

    def interrupted(condition: threading.Condition) -> bool:
        locked = enter(condition)
        if threading.current_thread() is consumer and to_come:
            # As Python does it where a signal arrives: the lock is taken, and no `with` knows of it yet.
            raise to_come.pop()
        return locked

    consumer.start()
    consumer.join(20)
    assert ended
