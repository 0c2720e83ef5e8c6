"""How much one client may ask: a token bucket per credential, and one ten times as large per address.

The second one bounds what a client gains by a new credential in every request. Processes that share a port share the
buckets. Knows no route but those of the watchers.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from cds.hooks.limits import refuse

_SLOTS = 1 << 17
_PER_ADDRESS = 10
_UNLIMITED = ("/health/", "/metrics", "/static/")
_LONGEST_KEY = 64
_ROUNDING = 1e-6


class Buckets:
    """Token buckets, each kept as the time at which it will be full (the generic cell rate algorithm).

    rate   tokens a second
    burst  tokens of a full bucket
    file   where the times lie, for processes of one machine that count together; None keeps them in this process
    clock  seconds that never jump and are the same for all processes

    A client's place is a keyed hash of its name, so that nobody can aim at the place of another; of a thousand clients
    that are busy at one time, one in a hundred and thirty shares its bucket. There is no lock: two processes that take
    in the same microsecond may take one token for both.
    """

    def __init__(
        self, rate: float, burst: float, *, file: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds_each = 1 / rate
        self._leeway = (burst - 1) / rate
        self._clock = clock
        self._key = str(file).encode()[-_LONGEST_KEY:] if file is not None else os.urandom(_LONGEST_KEY)
        self._full_at = memoryview(_memory(file)).cast("d")

    def take(self, client: bytes) -> float:
        """Take a token and return 0, or return after how many seconds there will be one."""
        now, place = self._clock(), self._place(client)
        full_at = max(self._full_at[place], now)
        wait = full_at - now - self._leeway
        if wait > _ROUNDING:
            return wait
        self._full_at[place] = full_at + self._seconds_each
        return 0.0

    def _place(self, client: bytes) -> int:
        return int.from_bytes(hashlib.blake2b(client, digest_size=8, key=self._key).digest(), "big") % _SLOTS


class RateLimitMiddleware:
    """Answers 429 with Retry-After before anything of a request is read.

    folder  shared by the processes that answer on one port; None where there is one
    """

    def __init__(self, app: ASGIApp, *, rate: float, burst: float, folder: Path | None = None) -> None:
        self._app = app
        self._clients = Buckets(rate, burst, file=folder / "clients" if folder else None)
        self._addresses = Buckets(
            _PER_ADDRESS * rate, _PER_ADDRESS * burst, file=folder / "addresses" if folder else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_UNLIMITED):
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0].encode()
        wait = max(self._addresses.take(address), self._clients.take(_client(address, dict(scope["headers"]))))
        if wait:
            retry = (b"retry-after", str(math.ceil(wait)).encode())
            await refuse(scope, send, 429, "throttled", "too many requests; try again later", [retry])
        else:
            await self._app(scope, receive, send)


def _client(address: bytes, headers: dict[bytes, bytes]) -> bytes:
    """Return who asks: an address with its key, or with the cookies of who signed in.

    A token of its own in every call (CDS Hooks) is one client by its address.
    """
    scheme, _, rest = headers.get(b"authorization", b"").partition(b" ")
    if rest.count(b".") == 2:
        return address
    return address + hashlib.sha256(scheme + rest or headers.get(b"cookie", b"")).digest()


def _memory(file: Path | None) -> mmap.mmap:
    """Return room for a time in each place, all of them zero at first."""
    size = 8 * _SLOTS
    if file is None:
        return mmap.mmap(-1, size)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
