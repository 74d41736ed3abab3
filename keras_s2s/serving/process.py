"""A worker as the server has it: a process, and what it works on."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from keras_s2s.errors import UserError
from keras_s2s.serving.messages import (
    Cancel,
    Forget,
    Job,
    Load,
    LoadDone,
    Message,
    Report,
    Unpacker,
    WorkerOptions,
    packed,
)

_SECONDS = 10.0
"""Seconds that a worker has to end."""


class WorkerLostError(Exception):
    """A worker ended before it was done."""


@dataclass(eq=False, slots=True)
class SubmittedJob:
    """A job that was submitted, and who waits for its result.

    Attributes:
        job: the message.
        end: takes what was found, as it is reported, or the exception that came in its place.
        progress: takes the ids written so far, after each step.
        cancelled: nobody waits for it any more.
        worker: who has it.
        given: when that was; seconds of `time.perf_counter`.
    """

    job: Job
    end: Callable[[Any], None]
    progress: Callable[[list[int]], None] | None = None
    cancelled: bool = False
    worker: "WorkerProcess | None" = None
    given: float = 0.0


class WorkerProcess(asyncio.Protocol):
    """A worker. `start` makes one.

    Attributes:
        jobs: those that it works on, by number.
        running: how many of them each scheduler has.
        bundles: numbers of those that it has loaded.
    """

    _process: subprocess.Popen[bytes]
    _transport: asyncio.Transport

    def __init__(self, report: Callable[["WorkerProcess", Report], None], lost: Callable[["WorkerProcess"], None]):
        """`report` takes what it reports, and `lost` it itself, should it end by itself."""
        self.jobs: dict[int, SubmittedJob] = {}
        self.running: Counter[str] = Counter()
        self.bundles: set[int] = set()
        self._report, self._lost = report, lost
        self._unpack = Unpacker()
        self._loading: dict[int, asyncio.Future[str | None]] = {}
        self._closing = False

    @classmethod
    async def start(
        cls,
        options: WorkerOptions,
        report: Callable[["WorkerProcess", Report], None],
        lost: Callable[["WorkerProcess"], None],
    ) -> Self:
        """Starts a worker."""
        ours, theirs = socket.socketpair()
        with theirs:
            worker = cls(report, lost)
            # It finds this package where it lies, and with -P nothing in the folder that it happens to run in.
            command = [
                sys.executable,
                "-P",
                "-m",
                "keras_s2s.serving.worker",
                str(theirs.fileno()),
                json.dumps(options),
            ]
            path = filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
            worker._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
        worker._transport = transport
        return worker

    async def load(self, bundle: int, folder: str) -> None:
        """Loads a bundle.

        Raises:
            UserError: it cannot be loaded.
            WorkerLostError: the worker ended.
        """
        self._loading[bundle] = asyncio.get_running_loop().create_future()
        self._send(Load(bundle, folder))
        try:
            if (error := await self._loading[bundle]) is not None:
                raise UserError(error)
        finally:
            del self._loading[bundle]
        self.bundles.add(bundle)

    def forget(self, bundle: int) -> None:
        """No job names this bundle any more."""
        self.bundles.discard(bundle)
        self._send(Forget(bundle))

    def give(self, jobs: Sequence[SubmittedJob]) -> None:
        """Gives it something to do; whole batches come as they are given."""
        for submitted in jobs:
            submitted.worker = self
            self.jobs[submitted.job.number] = submitted
            self.running[submitted.job.scheduler] += 1
        self._send(*(submitted.job for submitted in jobs))

    def take(self, number: int) -> SubmittedJob | None:
        """Takes a job out of those that it works on, if it is one of them."""
        if submitted := self.jobs.pop(number, None):
            self.running[submitted.job.scheduler] -= 1
        return submitted

    def cancel(self, submitted: SubmittedJob) -> None:
        """Nobody waits for this one any more."""
        if self.take(submitted.job.number):
            self._send(Cancel([submitted.job.number]))

    async def close(self) -> None:
        """Ends it, whatever it does."""
        self._closing = True
        self._transport.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, _SECONDS)
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    def data_received(self, data: bytes) -> None:
        """Reads messages of the worker."""
        for message in self._unpack(data):
            match message:
                case LoadDone():
                    loading = self._loading.get(message.bundle)
                    if loading is not None and not loading.done():
                        loading.set_result(message.error)
                case Report():
                    self._report(self, message)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        for loading in self._loading.values():
            if not loading.done():
                loading.set_exception(WorkerLostError("it ended while it loaded a bundle"))
        if not self._closing:
            self._lost(self)

    def _send(self, *messages: Message) -> None:
        self._transport.write(b"".join(map(packed, messages)))
