"""A line a minute, by a clock that the tests set."""

import io
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from keras_s2s import status
from keras_s2s.status import Minutes, a_line_a_minute, doing, shown, spoken


class Clock:
    """Shows what it is set to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def minutes(clock: Clock, said: list[str]) -> Iterator[Minutes]:
    """Inside of `a_line_a_minute`, whose thread does nothing; the tests tick."""
    ended = threading.Event()
    made = Minutes(said.append, clock)
    with a_line_a_minute(made, lambda seconds: ended.wait()):
        yield made
        ended.set()


def test_a_line_is_said_once_a_minute(minutes: Minutes, clock: Clock, said: list[str]) -> None:
    with doing("reading"):
        for seconds in (0, 59, 1, 0, 59, 1, 3600):
            clock.now += seconds
            minutes.tick()
    assert said == ["reading, for 1 min", "reading, for 2 min", "reading, for 1 h 02 min"]
    assert minutes.left == 60


def test_what_was_said_otherwise_counts(minutes: Minutes, clock: Clock, said: list[str]) -> None:
    with doing("reading"):
        clock.now += 50
        spoken()
        clock.now += 59
        minutes.tick()
        assert (said, minutes.left) == ([], 1)
        clock.now += 1
        minutes.tick()
    assert said == ["reading, for 1 min"]


def test_the_innermost_thing_is_said(minutes: Minutes, clock: Clock, said: list[str]) -> None:
    with doing("a stage"):
        clock.now += 30
        with doing(lambda: f"step {clock.now:.0f}"):
            clock.now += 30
            minutes.tick()
        with doing("something") as tell:
            clock.now += 40
            tell("something else")
            clock.now += 20
            minutes.tick()
        clock.now += 60
        minutes.tick()
    clock.now += 60
    minutes.tick()
    assert said == ["step 1060", "something else, for 20 s", "a stage, for 3 min"]


def test_blocks_in_each_other_say_a_line_once(minutes: Minutes, clock: Clock, said: list[str]) -> None:
    inner: list[str] = []
    with a_line_a_minute(Minutes(inner.append, clock)), doing("decoding"):
        clock.now += 60
        minutes.tick()
    assert (said, inner) == (["decoding, for 1 min"], [])


def test_a_thread_says_it_while_something_else_is_done(clock: Clock, said: list[str]) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        assert begun.wait(60)
        waited.append(seconds)
        clock.now += seconds
        if len(waited) > 3:
            enough.set()
            return ended.wait()
        return False

    begun, enough, ended = threading.Event(), threading.Event(), threading.Event()
    with a_line_a_minute(Minutes(said.append, clock), wait):
        with doing("exporting"):
            begun.set()
            assert enough.wait(60)
        ended.set()
    assert said == ["exporting, for 1 min", "exporting, for 2 min", "exporting, for 3 min"]
    assert waited == [60, 60, 60, 60]
    assert status._minutes is None


def test_its_thread_ends_with_the_block(said: list[str]) -> None:
    before = threading.active_count()
    with a_line_a_minute(Minutes(said.append)), doing("exporting"):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_outside_of_the_block_nothing_is_said() -> None:
    with doing("reading") as tell:
        tell("writing")
        spoken()


def test_a_terminal_shows_it_at_once_and_has_no_lines(clock: Clock) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=60, _environ={"TERM": "xterm"})
    with shown(console, "bundle") as tell:
        tell("verifying")
        assert status._minutes is None
    assert "bundle: verifying" in output.getvalue()


def test_a_file_gets_the_name_and_what_is_done(minutes: Minutes, clock: Clock, said: list[str]) -> None:
    with shown(Console(file=io.StringIO()), "bundle") as tell:
        clock.now += 61
        minutes.tick()
        tell("verifying: int8, beam 4")
        clock.now += 61
        minutes.tick()
    assert said == ["bundle, for 1 min", "bundle, verifying: int8, beam 4, for 1 min"]
