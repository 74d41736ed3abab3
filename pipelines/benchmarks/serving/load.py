"""A load generator: requests to a server on this machine, by many clients or at a rate, bounded in number and time."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import numpy as np


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        index: of the body that was sent.
        status: of HTTP; 0 where the connection broke.
        seconds: from the request to the whole answer.
        body: of the answer.
        begin: when the request was sent, seconds of `time.perf_counter`.
    """

    index: int
    status: int
    seconds: float
    body: bytes
    begin: float


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with one request at a time; answers must tell their length."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or self._answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) >= length:
            self._buffer = b""
            if b"connection: close" in head.lower():
                self.close()
            self._answer.set_result((int(head[9:12]), rest))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((0, b""))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self.open = False
        self._transport.close()


class Load:
    """Requests with JSON bodies to one path of a server.

    Args:
        url: of the path; its host must be this machine.
        bodies: are sent in turn.
    """

    def __init__(self, url: str, bodies: Sequence[object]) -> None:
        parts = urlsplit(url)
        if parts.hostname not in ("127.0.0.1", "localhost"):
            raise ValueError(f"{url}: load is for this machine alone")
        self._host, self._port = parts.hostname, parts.port or 80
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        encoded = [json.dumps(body).encode() for body in bodies]
        self._requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in encoded]
        self._free: list[_Connection] = []
        self.answers: list[Answer] = []

    async def clients(self, count: int, seconds: float = 1e9, requests: int = 10**9) -> None:
        """So many clients, each of which asks again when it has its answer, until time or requests are over."""
        end = time.perf_counter() + seconds
        numbers = iter(range(requests))

        async def client() -> None:
            while time.perf_counter() < end and (number := next(numbers, None)) is not None:
                await self._ask(number % len(self._requests))

        await asyncio.gather(*(client() for _ in range(count)))

    async def rate(self, per_second: float, seconds: float, seed: int = 1) -> None:
        """Requests that come at random, on average so many a second, whatever becomes of those before."""
        rng, begin, due, number = random.Random(seed), time.perf_counter(), 0.0, 0
        asked: set[asyncio.Task[None]] = set()
        while (due := due + rng.expovariate(per_second)) < seconds:
            if (wait := begin + due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.ensure_future(self._ask(number % len(self._requests)))
            asked.add(task)
            task.add_done_callback(asked.discard)
            number += 1
        await asyncio.gather(*asked)

    async def _ask(self, index: int) -> None:
        begin = time.perf_counter()
        connection = await self._connection()
        status, body = (0, b"") if connection is None else await connection.ask(self._requests[index])
        self.answers.append(Answer(index, status, time.perf_counter() - begin, body, begin))
        if connection is not None and connection.open:
            self._free.append(connection)

    async def _connection(self) -> _Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.open:
                return connection
        try:
            _, made = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        except OSError:
            return None
        return made

    def close(self) -> None:
        """Closes all connections."""
        for connection in self._free:
            connection.close()


@dataclass(frozen=True)
class Summary:
    """What answers were like.

    Attributes:
        answered: those of status 200.
        statuses: how often each came.
        per_second: answered.
        p50: seconds of those that were answered.
        p95: seconds.
        p99: seconds.
    """

    answered: int
    statuses: dict[int, int]
    per_second: float
    p50: float
    p95: float
    p99: float


def summary(answers: Sequence[Answer]) -> Summary:
    """Sums answers up."""
    good = [answer for answer in answers if answer.status == 200]
    seconds = max(a.begin + a.seconds for a in answers) - min(a.begin for a in answers)
    p50, p95, p99 = np.percentile([a.seconds for a in good], (50, 95, 99)) if good else (np.nan,) * 3
    statuses = {status: sum(a.status == status for a in answers) for status in sorted({a.status for a in answers})}
    return Summary(len(good), statuses, len(good) / seconds, float(p50), float(p95), float(p99))
