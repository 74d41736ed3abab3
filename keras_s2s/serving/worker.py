"""A worker: a process that decodes, so that batches share no interpreter with each other, nor with HTTP.

`python -m keras_s2s.serving.worker SOCKET` takes the number of an open socket, over which the server talks with it.
"""

import contextlib
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from weakref import WeakValueDictionary

from keras_s2s.memory import keep_freed_memory
from keras_s2s.serving.engine import Engine
from keras_s2s.serving.graphs import Graphs
from keras_s2s.serving.jobs import Job
from keras_s2s.serving.logs import log_as_json
from keras_s2s.serving.messages import (
    Cancel,
    Forget,
    Generate,
    How,
    Load,
    Loaded,
    Message,
    Score,
    Task,
    Unpacker,
    packed,
)

ROOM = {"steps": 1, "whole": 4}
"""The engines of a worker, and how many batches of texts each has, of which it takes those of like length together."""


class Worker:
    """Does what the server says until it is gone.

    Args:
        link: a socket that the server has the other end of.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link, self._sending = link, threading.Lock()
        self._bundles: dict[int, Graphs] = {}
        self._jobs: WeakValueDictionary[int, Job] = WeakValueDictionary()

    def run(self) -> None:
        """Returns when the server is gone."""
        received = self._received()
        first = next(received, None)
        if first is None:
            return
        how, *others = first
        assert isinstance(how, How)
        engines = {name: Engine(name, share * how.batch_size, self._send) for name, share in ROOM.items()}
        for messages in itertools.chain([others], received):
            # What comes together is begun together.
            jobs: dict[str, list[Job]] = {}
            for message in messages:
                if isinstance(message, Generate | Score):
                    jobs.setdefault(message.engine, []).append(self._job(message))
                else:
                    self._obey(message, how)
            for name, together in jobs.items():
                engines[name].submit(together)

    def _obey(self, message: Message, how: How) -> None:
        match message:
            case Load():
                # Requests are not held up by a bundle that takes another's place.
                threading.Thread(target=self._load, args=[message, how], daemon=True).start()
            case Forget():
                self._bundles.pop(message.bundle, None)
            case Cancel():
                for job in filter(None, map(self._jobs.get, message.numbers)):
                    job.cancelled = True

    def _job(self, task: Task) -> Job:
        job = self._jobs[task.number] = self._bundles[task.bundle].job(task)
        return job

    def _load(self, message: Load, how: How) -> None:
        try:
            self._bundles[message.bundle] = Graphs(message.folder, how)
        except Exception as error:
            self._send(Loaded(message.bundle, str(error)))
        else:
            self._send(Loaded(message.bundle, None))

    def _received(self) -> Iterator[list[Message]]:
        """What comes together, until the server is gone."""
        unpack = Unpacker()
        with contextlib.suppress(ConnectionError):
            while data := self._link.recv(65536):
                yield list(unpack(data))

    def _send(self, message: Message) -> None:
        with self._sending, contextlib.suppress(ConnectionError):  # `run` sees that the server is gone.
            self._link.sendall(packed(message))


def main() -> None:
    """Runs a worker. Signals are for the server, which finishes what it has taken: its end ends the worker, too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    log_as_json()
    Worker(socket.socket(fileno=int(sys.argv[1]))).run()
    os._exit(0)  # Threads may be within an operator.


if __name__ == "__main__":
    main()
