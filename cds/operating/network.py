"""Who may connect to a port of ours that is not HTTP, and how such a port is encrypted."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from cds.errors import ConfigurationError
from cds.settings import Settings

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of(addresses: Sequence[str]) -> tuple[Network, ...]:
    """Return addresses and networks as such. Raises ValueError for a text that is neither."""
    return tuple(ipaddress.ip_network(address, strict=False) for address in addresses)


def admits(networks: Sequence[Network], address: str) -> bool:
    """Whether a peer of this address may connect; without networks anyone may."""
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return not networks or any(peer in network for network in networks)


def calling_tls(settings: Settings) -> ssl.SSLContext:
    """Return the TLS of calls to DICOM nodes: their certificates are of `dicom_tls_ca`, else of whom the system trusts.

    Our own certificate goes along where one is set. Raises ConfigurationError when a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.dicom_tls_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.tls_certificate is not None and settings.tls_key is not None:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"dicom nodes: the TLS files cannot be used ({type(error).__name__})") from None
    return context


def tls_context(settings: Settings, name: str, ca: Path | None) -> ssl.SSLContext:
    """Return the TLS of a listening port: 1.2 or later (BCP 195, PS3.15 section B.12), mutual where a CA is named.

    name  setting that asks for it, for the error

    Raises ConfigurationError when the certificate, the key or the CA cannot be used.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        raise ConfigurationError(f"{name}: set tls_certificate and tls_key too")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if ca is not None:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{name}: the TLS files cannot be used ({type(error).__name__})") from None
    return context
