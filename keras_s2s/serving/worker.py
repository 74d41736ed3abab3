"""A worker: a process that decodes, so that batches share no interpreter with each other, nor with HTTP.

`python -m keras_s2s.serving.worker SOCKET OPTIONS` takes the number of an open socket, over which the server talks with
it, and its `WorkerOptions` as a list in JSON.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from queue import Empty, SimpleQueue
from weakref import WeakValueDictionary

from keras_s2s.memory import hand_back_freed_memory, keep_freed_memory
from keras_s2s.serving.jobs import ScheduledJob
from keras_s2s.serving.logs import log_as_json
from keras_s2s.serving.messages import (
    SCHEDULERS,
    Cancel,
    Forget,
    Generate,
    Job,
    Load,
    LoadDone,
    Message,
    Score,
    Unpacker,
    WorkerOptions,
    packed,
)
from keras_s2s.serving.scheduler import Scheduler
from keras_s2s.serving.worker_model import WorkerModel

_NICE = 5
_TIDY_SECONDS = 30.0


class Worker:
    """Does what the server says until it is gone.

    Steps are made by the thread that also listens, between two of them: a thread of its own for messages would take
    turns with it in the interpreter, which costs a tenth of all there is. Whole batches take long, and have a thread.

    Args:
        link: a socket that the server has the other end of.
        options: of the worker.
    """

    def __init__(self, link: socket.socket, options: WorkerOptions) -> None:
        self._link, self._options, self._sending = link, options, threading.Lock()
        self._received, self._unpack = memoryview(bytearray(65536)), Unpacker()
        self._whole: SimpleQueue[list[ScheduledJob]] = SimpleQueue()
        self._bundles: dict[int, WorkerModel] = {}
        self._jobs: WeakValueDictionary[int, ScheduledJob] = WeakValueDictionary()

    def run(self) -> None:
        """Returns when the server is gone."""
        steps, whole = (
            Scheduler(name, self._options.batch_size, coming, self._send)
            for name, coming in zip(SCHEDULERS, (self._steps_to_come, self._whole_to_come), strict=True)
        )
        for work in (whole.run, _tidy):
            threading.Thread(target=work, daemon=True).start()
        steps.run()

    def _steps_to_come(self, wait: bool) -> list[ScheduledJob] | None:
        """Listens, and gives the jobs that are to be decoded a step at a time."""
        try:
            size = self._link.recv_into(self._received, 0, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        if not size:
            return None
        jobs: dict[str, list[ScheduledJob]] = {scheduler: [] for scheduler in SCHEDULERS}
        for message in self._unpack(bytes(self._received[:size])):
            if isinstance(message, Generate | Score):
                jobs[message.scheduler].append(self._scheduled(message))
            else:
                self._obey(message)
        if jobs["whole"]:
            self._whole.put(jobs["whole"])
        return jobs["steps"]

    def _whole_to_come(self, wait: bool) -> list[ScheduledJob]:
        jobs = self._whole.get() if wait else []
        with contextlib.suppress(Empty):
            while True:
                jobs += self._whole.get_nowait()
        return jobs

    def _obey(self, message: Message) -> None:
        match message:
            case Load():
                # Requests are not held up by a bundle that takes another's place.
                threading.Thread(target=self._load, args=[message], daemon=True).start()
            case Forget():
                self._bundles.pop(message.bundle, None)
            case Cancel():
                for job in filter(None, map(self._jobs.get, message.numbers)):
                    job.cancelled = True

    def _scheduled(self, job: Job) -> ScheduledJob:
        scheduled = self._jobs[job.number] = self._bundles[job.bundle].scheduled(job)
        return scheduled

    def _load(self, message: Load) -> None:
        try:
            self._bundles[message.bundle] = WorkerModel(message.folder, self._options)
        except Exception as error:
            self._send(LoadDone(message.bundle, str(error)))
        else:
            self._send(LoadDone(message.bundle, None))

    def _send(self, message: Message) -> None:
        # That the server is gone is noticed by who listens.
        with self._sending, contextlib.suppress(ConnectionError):
            self._link.sendall(packed(message))


def _tidy() -> None:
    """Keeps memory from growing: batches are of all sizes, and what one leaves does not fit the next."""
    while True:
        time.sleep(_TIDY_SECONDS)
        hand_back_freed_memory()


def main() -> None:
    """Runs a worker. Signals are for the server, which finishes what it has taken: its end ends the worker, too."""
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)
    # Who reads requests goes first: under too much load it would wait for workers, and they for it.
    os.nice(_NICE)
    keep_freed_memory()
    log_as_json()
    number, options = sys.argv[1:]
    Worker(socket.socket(fileno=int(number)), WorkerOptions(*json.loads(options))).run()
    os._exit(0)  # Threads may be within an operator.


if __name__ == "__main__":
    main()
