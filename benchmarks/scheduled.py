"""HTTP requests, made beforehand, that leave on a schedule: a client that takes little of the machine it measures.

Requests go in turn over connections that stay open. One that finds all of them busy opens another, so that no answer
holds up a request after it; its time counts from its place in the schedule.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    """What became of one request: status, 0 where the connection broke, and milliseconds since it was due."""

    status: int
    milliseconds: float


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return a POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: benchmark", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """Connections to one server on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[_Connection] = deque()

    async def open(self, connections: int) -> None:
        """Open connections beforehand."""
        for _ in range(connections):
            self._idle.append(await asyncio.open_connection("127.0.0.1", self._port))

    async def send(self, message: bytes) -> int:
        """Send a request and return the status of its answer, 0 where the connection broke."""
        try:
            reader, writer = (
                self._idle.popleft() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            )
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
        except (OSError, asyncio.IncompleteReadError):
            return 0
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])

    async def on_schedule(self, messages: Sequence[bytes], *, begun: float, rate: float) -> list[Answer]:
        """Send `rate` requests a second, from `begun` (of time.perf_counter) on, and return what became of them."""

        async def one(number: int) -> Answer:
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status = await self.send(messages[number])
            return Answer(status, 1000 * (time.perf_counter() - due))

        return list(await asyncio.gather(*(one(number) for number in range(len(messages)))))
