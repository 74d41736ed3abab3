"""Reports the progress of long work, one line per minute if there is no terminal."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console

Tell = Callable[[str], None]
EVERY = 60.0  # seconds


@dataclass
class _Doing:
    """A thing that is being done, and since when."""

    what: str | Callable[[], str]
    since: float

    def line(self, now: float) -> str:
        if not isinstance(self.what, str):
            return self.what()
        # What says how far it is, is said anew every moment.
        return self.what if now - self.since < 1 else f"{self.what}, for {duration(now - self.since)}"


@dataclass
class Minutes:
    """Says what is being done when nothing has been said for a minute.

    Args:
        say: is given the line.
        clock: seconds, from any beginning on, that never go back.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _doing: list[_Doing] = field(default_factory=list)
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        self._said = self.clock()

    @property
    def left(self) -> float:
        """Seconds until a line is due."""
        return max(self._said + EVERY - self.clock(), 0.0)

    def tick(self) -> None:
        """Says a line if it is due."""
        if self.left:
            return
        self.spoken()
        for doing in self._doing[-1:]:
            self.say(doing.line(self.clock()))

    def spoken(self) -> None:
        """A line was said: the minute begins anew."""
        self._said = self.clock()

    @contextlib.contextmanager
    def while_doing(self, what: str | Callable[[], str]) -> Iterator[Tell]:
        """Inside the block this is what is being done, or what the function is told that the block is given."""
        now = _Doing(what, self.clock())
        self._doing.append(now)

        def tell(what: str) -> None:
            now.what, now.since = what, self.clock()

        try:
            yield tell
        finally:
            self._doing.pop()


_minutes: Minutes | None = None


@contextlib.contextmanager
def a_line_a_minute(minutes: Minutes, wait: Callable[[float], bool] | None = None) -> Iterator[None]:
    """Inside the block, says at least a line a minute of what `doing` is told. Of nested blocks the outermost counts.

    Args:
        minutes: says it.
        wait: waits some seconds in a thread of its own, and returns whether the block has ended.
    """
    global _minutes
    if _minutes is not None:
        yield
        return
    ended = threading.Event()
    wait = wait or ended.wait

    def go_on() -> None:
        while not wait(minutes.left):
            minutes.tick()

    thread = threading.Thread(target=go_on, daemon=True)
    _minutes = minutes
    thread.start()
    try:
        yield
    finally:
        _minutes = None
        ended.set()
        thread.join()


def minutes_of(console: Console) -> contextlib.AbstractContextManager[None]:
    """`a_line_a_minute` on a console, unless that is a terminal, where a bar or a status line shows more."""
    if console.is_terminal:
        return contextlib.nullcontext()
    return a_line_a_minute(Minutes(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)))


@contextlib.contextmanager
def doing(what: str | Callable[[], str]) -> Iterator[Tell]:
    """Inside the block this is what `a_line_a_minute` says; of blocks in each other the innermost counts.

    Args:
        what: in words, to which is added for how long; or a function that makes the whole line, in another thread.

    Returns:
        What to call with other words when something else is being done.
    """
    if _minutes is None:
        yield lambda what: None
        return
    with _minutes.while_doing(what) as tell:
        yield tell


@contextlib.contextmanager
def shown(console: Console, name: str) -> Iterator[Tell]:
    """Shows what a piece of work is doing: on a terminal at once, in a status line, elsewhere once a minute.

    Args:
        console: to show it on.
        name: of the work, before what it is doing.

    Returns:
        What to call with what is being done.
    """
    if console.is_terminal:
        with console.status(name) as line:
            yield lambda what: line.update(f"{name}: {what}")
        return
    with minutes_of(console), doing(name) as tell:
        yield lambda what: tell(f"{name}, {what}")


def spoken() -> None:
    """To be called when a line was printed that says as much: the minute begins anew."""
    if _minutes is not None:
        _minutes.spoken()


def duration(seconds: float) -> str:
    """A time in words: `40 s`, `12 min`, `1 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
