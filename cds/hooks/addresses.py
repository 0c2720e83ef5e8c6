"""Where a request may go out to: allow-listed hosts, resolved once, and never an address inside unless configured.

The address that was checked is the address that is called, so a name that resolves differently a moment later gains
nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import httpx

from cds.hooks.errors import AddressRefusedError

_DEFAULT_PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True)
class Pinned:
    """A server whose name was resolved and checked: requests go to `address`, named as `host`."""

    base: httpx.URL
    address: str

    def request(
        self,
        client: httpx.AsyncClient,
        url: httpx.URL,
        headers: dict[str, str],
        *,
        method: str = "GET",
        content: bytes | None = None,
    ) -> httpx.Request:
        """Return a request to an address of this server, bound to the checked address."""
        return client.build_request(
            method,
            url.copy_with(host=self.address),
            content=content,
            headers={**headers, "Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": self.base.host},
        )

    def post(self, client: httpx.AsyncClient, url: httpx.URL, form: dict[str, str]) -> httpx.Request:
        """Return a POST of a form to an address of this server, bound to the checked address."""
        return client.build_request(
            "POST",
            url.copy_with(host=self.address),
            data=form,
            headers={"Host": url.netloc.decode("ascii"), "Accept": "application/json"},
            extensions={"sni_hostname": self.base.host},
        )

    def is_origin_of(self, url: httpx.URL) -> bool:
        """Whether an address lies on this very server."""
        return (url.scheme, url.host, port_of(url), url.userinfo) == (
            self.base.scheme,
            self.base.host,
            port_of(self.base),
            b"",
        )


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def pin(server: str, *, hosts: Collection[str], private: bool, resolver: Resolve = resolve) -> Pinned:
    """Return a server that may be called.

    server   base URL as a request names it
    hosts    allowed hosts, "name" for the default port or "name:port"
    private  whether they may lie on private addresses; plain http is allowed on loopback only, and only then

    Raises AddressRefusedError.
    """
    try:
        base = httpx.URL(server)
    except httpx.InvalidURL:
        raise AddressRefusedError("server_malformed") from None
    if base.scheme not in _DEFAULT_PORTS or base.userinfo or base.query or base.fragment:
        raise AddressRefusedError("server_malformed")
    name = base.host if port_of(base) == _DEFAULT_PORTS[base.scheme] else f"{base.host}:{port_of(base)}"
    if name not in hosts:
        raise AddressRefusedError("host_not_allowed")
    try:
        addresses = [
            ipaddress.ip_address(found.partition("%")[0]) for found in await resolver(base.host, port_of(base))
        ]
    except (OSError, UnicodeError, ValueError):
        raise AddressRefusedError("host_unknown") from None
    if not addresses or not all(is_allowed(address, private=private) for address in addresses):
        raise AddressRefusedError("address_not_allowed")
    if base.scheme == "http" and not all(address.is_loopback for address in addresses):
        raise AddressRefusedError("https_required")
    return Pinned(base, str(addresses[0]))


def port_of(url: httpx.URL) -> int:
    return url.port or _DEFAULT_PORTS.get(url.scheme, 0)


def is_allowed(address: Address, *, private: bool) -> bool:
    """Whether an address may be called; addresses carried inside another are judged too."""
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    inner = _carried(address)
    if inner is not None:
        return is_allowed(inner, private=private)
    return address.is_global or (private and (address.is_private or address.is_loopback))


def _carried(address: Address) -> Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
