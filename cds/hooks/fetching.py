"""Gets from the client's FHIR server what prefetch left out: concurrent, paged, and within one time budget.

Holds the access token for the length of one call. What could not be had comes back by name and reason.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic_core import from_json

from cds.hooks.addresses import Pinned, Resolve, pin, resolve
from cds.hooks.backend import BackendTokens
from cds.hooks.errors import AddressRefusedError
from fusion import resources_of

MOST_PAGES = 5
MOST_RESOURCES = 1000
_MOST_BYTES = 8 * 1024 * 1024


@dataclass
class Fetched:
    """What came for one prefetch key; `problem` says why it is not all of it."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None


class FhirFetcher:
    """Reads and searches on allow-listed FHIR servers.

    budget_ms  time for everything that one call fetches
    transport  of httpx and `resolver`, for tests
    backend    tokens of our own, where a call brings none
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        private: bool,
        budget_ms: int,
        transport: httpx.AsyncBaseTransport | None = None,
        resolver: Resolve = resolve,
        backend: BackendTokens | None = None,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._private = private
        self._seconds = budget_ms / 1000
        self._transport = transport
        self._resolver = resolver
        self._backend = backend
        self._tls = ssl.create_default_context()

    async def fetch(self, server: str, token: str | None, wanted: Mapping[str, str]) -> dict[str, Fetched]:
        """Return what the server has for each key.

        wanted  key -> address: relative to the server, or the absolute `next` link of a page
        """
        got = {key: Fetched(problem="timed_out") for key in wanted}
        try:
            async with asyncio.timeout(self._seconds):
                pinned = await self._pinned(server)
                token = token or await self._own_token(server)
                async with self._client(token) as client, asyncio.TaskGroup() as tasks:
                    for key, address in wanted.items():
                        tasks.create_task(self._follow(client, pinned, address, got[key]))
        except AddressRefusedError as error:
            return {key: Fetched(problem=error.code) for key in wanted}
        except TimeoutError:
            pass
        return got

    async def _pinned(self, server: str) -> Pinned:
        return await pin(server, hosts=self._hosts, private=self._private, resolver=self._resolver)

    async def _own_token(self, server: str) -> str | None:
        if self._backend is None:
            return None
        async with self._client(None) as client:
            return await self._backend.token(server, client, self._pinned)

    def _client(self, token: str | None) -> httpx.AsyncClient:
        headers = {"Accept": "application/fhir+json", "Accept-Encoding": "identity"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.AsyncClient(
            headers=headers,
            transport=self._transport,
            verify=self._tls,
            timeout=self._seconds,
            limits=httpx.Limits(max_connections=8),
            follow_redirects=False,
            trust_env=False,
        )

    async def _follow(self, client: httpx.AsyncClient, pinned: Pinned, address: str, into: Fetched) -> None:
        """Fill `into` page by page; a problem ends it and leaves what came before."""
        try:
            url: httpx.URL | None = httpx.URL(f"{str(pinned.base).rstrip('/')}/").join(address)
            for _ in range(MOST_PAGES):
                if url is None:
                    break
                if not pinned.is_origin_of(url):
                    into.problem = "link_leaves_server"
                    return
                page = await _page(client, pinned.request(client, url, {}))
                into.resources += resources_of(page)
                if len(into.resources) > MOST_RESOURCES:
                    break
                link = next_link(page)
                url = url.join(link) if link else None
            into.problem = None if url is None else "too_many"
        except _PageError as error:
            into.problem = error.code
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError):
            into.problem = "not_reachable"


class _PageError(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def _page(client: httpx.AsyncClient, request: httpx.Request) -> dict[str, Any]:
    response = await client.send(request, stream=True)
    try:
        if response.status_code != httpx.codes.OK:
            raise _PageError(f"http_{response.status_code}")
        if "content-encoding" in response.headers:
            raise _PageError("not_fhir")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise _PageError("too_large")
    finally:
        await response.aclose()
    try:
        page = from_json(bytes(body), allow_inf_nan=False)
    except ValueError:
        raise _PageError("not_fhir") from None
    if not isinstance(page, dict) or not isinstance(page.get("resourceType"), str):
        raise _PageError("not_fhir")
    if page["resourceType"] == "OperationOutcome":
        raise _PageError("operation_outcome")
    return page


def next_link(bundle: Any) -> str | None:
    """Return the address of the page after this one."""
    links = bundle.get("link") if isinstance(bundle, Mapping) else None
    for link in links if isinstance(links, list) else ():
        if isinstance(link, Mapping) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return str(link["url"])
    return None
