"""Lines as they come, in windows: full ones from a fast source, a single line from somebody who types."""

import queue
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass

# Far below what a person notices, far above what a file needs for a window of lines.
PATIENCE_SECONDS = 0.02


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def windows(lines: Iterable[str], size: int, full: bool = False) -> Generator[list[str] | None, None, None]:
    """Yields all lines in order, in lists of 1 to `size`; and None before it waits, if no line is there.

    `lines` is read in a thread of its own, so that a source that waits for an answer before its next line (a
    terminal, a pipe that asks line by line) gets it. At most two windows are read ahead of the one yielded.
    An error of `lines` is raised after the lines before it.

    Args:
        lines: the source.
        size: of a window.
        full: the source waits for no answer, so all windows but the last are full, and there is no None.
    """
    # An interruption inside of a `queue.Queue` leaves it locked; these two are whole whenever it comes.
    waiting, room = queue.SimpleQueue[str | _End](), queue.SimpleQueue[None]()
    for _ in range(2 * size):
        room.put(None)
    stopped = threading.Event()

    def read() -> None:
        end = _End(None)
        try:
            for line in lines:
                room.get()
                if stopped.is_set():
                    return
                waiting.put(line)
        except BaseException as error:
            end = _End(error)
        waiting.put(end)

    # A daemon, because nothing can wake it from reading when the process wants to end.
    threading.Thread(target=read, daemon=True).start()
    try:
        end = None
        while end is None:
            if not full and waiting.empty():
                yield None
            window, end = _take(waiting, size, None if full else PATIENCE_SECONDS)
            for _ in window:
                room.put(None)
            if window:
                yield window
        if end.error is not None:
            raise end.error
    finally:
        stopped.set()
        room.put(None)  # For the line that the thread may hold.


def _take(waiting: "queue.SimpleQueue[str | _End]", size: int, patience: float | None) -> tuple[list[str], _End | None]:
    """Waits for one line, then a moment for more; without patience to be lost, for all of the window."""
    window: list[str] = []
    deadline = None
    while len(window) < size:
        try:
            item = waiting.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if isinstance(item, _End):
            return window, item
        window.append(item)
        if patience is not None:
            deadline = deadline or time.monotonic() + patience
    return window, None
