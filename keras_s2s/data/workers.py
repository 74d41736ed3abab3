"""Work on many items on all cores, in processes that know nothing of the script that started them.

`multiprocessing` would import that script in each of them, so that a script which has no `if __name__ == "__main__"`
runs again and again. These processes import what they are asked to do, and end when their standard input does, so none
is left behind by a killed run.
"""

import contextlib
import itertools
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from keras_s2s.cores import available_cores
from keras_s2s.errors import UserError

_FEW = 4  # items, for which no process is worth its start
_START = "from keras_s2s.data.workers import serve; serve()"


OrderedMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Does work on items, and gives the results in their order. It asks for an item only when it needs it."""


def on_all_cores(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """An `OrderedMap` over the cores of this machine.

    Few items are done in this process. So are all if `work` is defined in the script that runs, which other processes
    cannot import.

    Args:
        work: picklable, as are its results.
        items: picklable.

    Raises:
        UserError: a process ended by itself.
        Exception: as `work`.
    """
    items = iter(items)
    first = list(itertools.islice(items, _FEW))
    content = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
    if len(first) < _FEW or b"__main__" in content:
        yield from map(work, itertools.chain(first, items))
        return
    cores = available_cores()
    with contextlib.ExitStack() as held:
        idle: SimpleQueue[_Process] = SimpleQueue()
        for _ in range(cores):
            idle.put(held.enter_context(_Process(content)))
        threads = held.enter_context(ThreadPoolExecutor(cores))
        waiting: deque[Future[Any]] = deque()
        held.callback(lambda: [future.cancel() for future in waiting])
        for item in itertools.chain(first, items):
            waiting.append(threads.submit(_do, idle, item))
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def serve() -> None:
    """The entry point of a process: does the work that it reads, one item after the other, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Who started it handles the interruption.
    given, results = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # Results alone go out.
    # The pipes end when nobody waits for results any more.
    with contextlib.suppress(EOFError, BrokenPipeError):
        sys.path[:] = pickle.load(given)
        work = pickle.loads(pickle.load(given))
        while True:
            item = pickle.load(given)
            try:
                result: tuple[Any, Exception | None] = (work(item), None)
            except Exception as error:
                result = (None, error)
            _send(results, result)


class _Process(contextlib.AbstractContextManager["_Process"]):
    """A process that does some work."""

    def __init__(self, work: bytes) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._send(sys.path)
        self._send(work)

    def __call__(self, item: Any) -> Any:
        assert self._process.stdout is not None
        try:
            self._send(item)
            result, error = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            code = self._process.wait()
            raise UserError(
                f"preparing data: a process ended with exit code {code}, perhaps for want of memory; free some, and "
                "start again: what is finished is kept"
            ) from None
        if error is not None:
            raise error
        return result

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.terminate()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _send(self, item: Any) -> None:
        assert self._process.stdin is not None
        _send(self._process.stdin, item)


def _send(stream: Any, item: Any) -> None:
    pickle.dump(item, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


def _do(idle: "SimpleQueue[_Process]", item: Any) -> Any:
    process = idle.get()
    try:
        return process(item)
    finally:
        idle.put(process)
