from collections.abc import Callable, Iterator

import pytest

from keras_s2s.runtime.in_order import in_order


class Source:
    """Begins one window of two results after the other, and notes what happens."""

    def __init__(self, *gaps: int) -> None:
        self.events: list[str] = []
        self._gaps = gaps

    def begun(self, count: int) -> Iterator[Callable[[], list[int]] | None]:
        for number in range(count):
            if number in self._gaps:
                yield None
            self.events.append(f"begin {number}")
            yield lambda number=number: self._results(number)  # type: ignore[misc]

    def _results(self, number: int) -> list[int]:
        self.events.append(f"wait {number}")
        return [2 * number, 2 * number + 1]


@pytest.mark.parametrize("ahead", [0, 1, 3, 100])
def test_results_are_in_order(ahead: int) -> None:
    assert list(in_order(Source().begun(5), ahead)) == list(range(10))
    assert list(in_order([], ahead)) == []


def test_so_many_are_begun_ahead_and_no_more() -> None:
    source = Source()
    list(in_order(source.begun(4), 1))
    assert source.events == [
        "begin 0",
        "begin 1",
        "wait 0",
        "begin 2",
        "wait 1",
        "begin 3",
        "wait 2",
        "wait 3",
    ]


def test_nothing_is_held_back_when_the_next_may_be_long_in_coming() -> None:
    source = Source(2)
    list(in_order(source.begun(3), 5))
    assert source.events == ["begin 0", "begin 1", "wait 0", "wait 1", "begin 2", "wait 2"]


def test_an_error_comes_after_the_results_before_it() -> None:
    def begun() -> Iterator[Callable[[], list[int]]]:
        yield lambda: [1]
        yield lambda: [2]
        raise ValueError("no third")

    results = in_order(begun(), 5)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="no third"):
        next(results)
