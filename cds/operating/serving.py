"""Serving a site by HTTP: what is safe to serve, the server, and the processes that share its port."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable

import uvicorn

from cds.api import create_app
from cds.errors import ConfigurationError, UnsafeToServeError
from cds.operating.processes import kept, receiver_process, worker_process
from cds.service import Service
from cds.settings import Settings

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PARENT_SECONDS = 1.0


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_safe_to_serve(settings: Settings) -> None:
    """Refuse to listen beyond loopback without authentication and TLS or a declared trusted proxy.

    Raises UnsafeToServeError naming the settings that are missing, ConfigurationError when a TLS file is.
    """
    for file in (settings.tls_certificate, settings.tls_key):
        if file is not None and not os.access(file, os.R_OK):
            raise ConfigurationError(f"{file}: the TLS file is not there, or this user may not read it")
    _check_safe_to_receive(settings)
    if is_loopback(settings.host):
        return
    lacking = []
    if not (settings.api_keys or settings.oidc_issuers or settings.signin_issuer) or not settings.jwt_issuers:
        lacking.append(
            "authentication (set CDS_API_KEYS, CDS_OIDC_ISSUERS or CDS_SIGNIN_ISSUER for REST and pages, "
            "CDS_JWT_ISSUERS for CDS Hooks)"
        )
    if not ((settings.tls_certificate and settings.tls_key) or settings.trusted_proxy):
        lacking.append("TLS (set CDS_TLS_CERTIFICATE and CDS_TLS_KEY, or CDS_TRUSTED_PROXY)")
    if lacking:
        raise UnsafeToServeError(
            f"refusing to listen on {settings.host}, beyond loopback, without {' and '.join(lacking)}; "
            "or listen on 127.0.0.1"
        )


def _check_safe_to_receive(settings: Settings) -> None:
    """Refuse to receive from beyond loopback without saying from whom: DICOM and HL7 have no passwords."""
    if settings.hl7_port is not None and not is_loopback(settings.hl7_host) and not settings.hl7_addresses:
        raise UnsafeToServeError(
            f"refusing to receive HL7 on {settings.hl7_host}, beyond loopback, from anyone; set CDS_HL7_ADDRESSES"
        )
    if settings.dicom_port is None or is_loopback(settings.dicom_host):
        return
    lacking = [
        f"CDS_{name.upper()}" for name in ("dicom_calling_aes", "dicom_addresses") if not getattr(settings, name)
    ]
    if lacking:
        raise UnsafeToServeError(
            f"refusing to receive DICOM on {settings.dicom_host}, beyond loopback, from anyone; "
            f"set {' and '.join(lacking)}"
        )


def serve_forever(service: Service) -> None:
    """Serve until stopped, with a worker process beside; by processes that share the port where several are set.

    Raises ConfigurationError where another program has the port.
    """
    _check_port_is_free(service.settings)
    service.database.migrate()
    with worker_process(service.settings), receiver_process(service.settings):
        if service.settings.api_processes == 1:
            http_server(service).run()
        else:
            _keep_answering(service)


def _keep_answering(service: Service) -> None:
    """Keep the processes that answer running, until SIGTERM or SIGINT; a folder holds what all of them count."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    settings = service.settings
    with contextlib.ExitStack() as held:
        counted = held.enter_context(tempfile.TemporaryDirectory(prefix="roentgen-metrics-"))
        for _ in range(settings.api_processes):
            held.enter_context(kept("api", settings, environment={_METRICS_FOLDER: counted}))
        stopped.wait()


def answer_until_stopped(service: Service, *, parent: int) -> None:
    """Answer on a port that other processes answer on too, until stopped or the process with id `parent` is gone.

    Each listens for itself, so that the kernel shares out connections evenly; on one socket for all, the process that
    wakes first takes a whole burst.
    """
    server = http_server(service)

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        server.should_exit = True

    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    server.run(sockets=[_bound(service.settings, shared=True)])


def _check_port_is_free(settings: Settings) -> None:
    try:
        _bound(settings, shared=False).close()
    except OSError as error:
        raise ConfigurationError(f"port {settings.port} on {settings.host}: {error.strerror}") from None


def _bound(settings: Settings, *, shared: bool) -> socket.socket:
    """Return a socket that does not listen yet: connections come only once the server is warm."""
    bound = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
    try:
        bound.bind((settings.host, settings.port))
    except OSError:
        bound.close()
        raise
    return bound


def http_server(service: Service) -> uvicorn.Server:
    """Return the HTTP server of a service, not yet running."""
    settings = service.settings
    config = uvicorn.Config(
        create_app(service),
        host=settings.host,
        port=settings.port,
        ssl_certfile=str(settings.tls_certificate) if settings.tls_certificate else None,
        ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
        ssl_ciphers=_CIPHERS,
        ssl_context_factory=_strict_tls(settings),
        proxy_headers=settings.trusted_proxy is not None,
        forwarded_allow_ips=settings.trusted_proxy,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def _strict_tls(settings: Settings) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None:
    """Return what makes the TLS context: no version before the configured one, no cipher without forward secrecy."""
    if settings.tls_certificate is None:
        return None

    def make(_: uvicorn.Config, usual: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        context = usual()
        context.minimum_version = _TLS_VERSIONS[settings.tls_minimum]
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        return context

    return make
