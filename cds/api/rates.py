"""How much one client may ask: a token bucket per credential, and one ten times as large per address.

The second one bounds what a client gains by a new credential in every request. The buckets are of this process; with
several processes behind one address a client has as many times the rate. Knows no route but those of the watchers.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from cds.hooks.limits import refuse

_MOST_CLIENTS = 10_000
_PER_ADDRESS = 10
_UNLIMITED = ("/health/", "/metrics", "/static/")


class Buckets:
    """Token buckets, the longest unused forgotten first.

    rate   tokens a second
    burst  tokens of a full bucket
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._level: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, client: bytes) -> float:
        """Take a token and return 0, or return after how many seconds there will be one."""
        now = self._clock()
        level, since = self._level.pop(client, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate
        self._level[client] = (level - 1 if wait == 0 else level, now)
        if len(self._level) > _MOST_CLIENTS:
            self._level.popitem(last=False)
        return wait


class RateLimitMiddleware:
    """Answers 429 with Retry-After before anything of a request is read."""

    def __init__(self, app: ASGIApp, *, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clients = Buckets(rate, burst, clock)
        self._addresses = Buckets(_PER_ADDRESS * rate, _PER_ADDRESS * burst, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_UNLIMITED):
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0].encode()
        credential = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, rest = credential.partition(b" ")
        # A token of its own in every call (CDS Hooks) is one client by its address.
        name = address if rest.count(b".") == 2 else address + hashlib.sha256(scheme + rest).digest()
        wait = max(self._addresses.take(address), self._clients.take(name))
        if wait:
            retry = (b"retry-after", str(math.ceil(wait)).encode())
            await refuse(scope, send, 429, "throttled", "too many requests; try again later", [retry])
        else:
            await self._app(scope, receive, send)
