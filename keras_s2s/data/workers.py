"""Work on many items on all cores, in processes that know nothing of the script that started them.

`multiprocessing` would import that script in each of them, so that a script which has no `if __name__ == "__main__"`
runs again and again. These processes import what they are asked to do, and end when their standard input does, so none
is left behind by a killed run.
"""

import contextlib
import io
import itertools
import os
import pickle
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from keras_s2s.cores import available_cores
from keras_s2s.errors import UserError

_FEW = 4  # items, for which no process is worth its start
_START = "import sys; sys.path[:] = {path!r}; from keras_s2s.data.workers import serve; serve()"

OrderedMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Does work on items, and gives the results in their order. It asks for an item only when it needs it."""


def on_all_cores(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """An `OrderedMap` over the cores of this machine.

    Few items are done in this process. So are all if `work` or the first items are of a class or function of the script
    that runs, which other processes cannot import.

    Args:
        work: picklable, as are its results.
        items: picklable.

    Raises:
        UserError: a process ended by itself.
        Exception: as `work`; a note says where it happened.
    """
    items = iter(items)
    first = list(itertools.islice(items, _FEW))
    if len(first) < _FEW or _is_of_script([work, *first]):
        yield from map(work, itertools.chain(first, items))
        return
    cores, content = available_cores(), pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
    with contextlib.ExitStack() as held:
        # At an end before the time, processes end first: the threads wait for them, however long their work takes.
        threads = held.enter_context(ThreadPoolExecutor(cores))
        idle: SimpleQueue[_Process] = SimpleQueue()
        for _ in range(cores):
            idle.put(held.enter_context(_Process(content)))
        waiting: deque[Future[Any]] = deque()
        held.callback(lambda: [future.cancel() for future in waiting])
        for item in itertools.chain(first, items):
            waiting.append(threads.submit(_do, idle, item))
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _is_of_script(things: Sequence[Any]) -> bool:
    """Whether something in them is defined in the script that runs."""
    pickler = _Looking(io.BytesIO(), pickle.HIGHEST_PROTOCOL)
    pickler.dump(things)
    return pickler.has_found


class _Looking(pickle.Pickler):
    has_found = False

    def reducer_override(self, obj: Any) -> Any:
        self.has_found |= "__main__" in (getattr(obj, "__module__", None), type(obj).__module__)
        return NotImplemented


def serve() -> None:
    """The entry point of a process: does the work that it reads, one item after the other, until there are no more."""
    given, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Whatever else the work reads or writes, in any library, does not come between.
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    # The pipes end when nobody waits for results any more.
    with contextlib.suppress(EOFError, BrokenPipeError):
        content = pickle.load(given)
        work: Callable[[Any], Any] | None = None
        while True:
            item = pickle.load(given)
            try:
                if work is None:
                    work = pickle.loads(content)
                answer = pickle.dumps((work(pickle.loads(item)), None), pickle.HIGHEST_PROTOCOL)
            except Exception as error:
                error.add_note(traceback.format_exc())
                answer = pickle.dumps((None, error), pickle.HIGHEST_PROTOCOL)
            results.write(answer)
            results.flush()


class _Process(contextlib.AbstractContextManager["_Process"]):
    """A process that does some work."""

    def __init__(self, work: bytes) -> None:
        # In a group of its own, so that an interruption reaches only who started it.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        self._work: bytes | None = work

    def __call__(self, item: Any) -> Any:
        assert self._process.stdout is not None
        try:
            if self._work is not None:
                self._send(self._work)
                self._work = None
            self._send(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
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

    def _send(self, content: bytes) -> None:
        assert self._process.stdin is not None
        pickle.dump(content, self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()


def _do(idle: "SimpleQueue[_Process]", item: Any) -> Any:
    process = idle.get()
    try:
        return process(item)
    finally:
        idle.put(process)
