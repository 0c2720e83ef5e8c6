"""Starting the processes of a service: API, worker at lower priority, receiver of DICOM and HL7 where a port is set."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import uvicorn

from cds.api import create_app
from cds.errors import ConfigurationError, UnsafeToServeError
from cds.operating.logs import logger
from cds.service import Service
from cds.settings import Settings

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_RESTART_SECONDS = 1.0
_LONGEST_RESTART_SECONDS = 30.0
_log = logger(__name__)


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
    if not (settings.api_keys or settings.oidc_issuers) or not settings.jwt_issuers:
        lacking.append(
            "authentication (set CDS_API_KEYS or CDS_OIDC_ISSUERS for REST and pages, CDS_JWT_ISSUERS for CDS Hooks)"
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
    """Serve until stopped, with a worker process beside."""
    service.database.migrate()
    with worker_process(service.settings), receiver_process(service.settings):
        http_server(service).run()


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


@contextlib.contextmanager
def worker_process(settings: Settings) -> Iterator[None]:
    """Keep one `cds worker` process running, started anew if it dies."""
    with _kept("worker", settings):
        yield


@contextlib.contextmanager
def receiver_process(settings: Settings) -> Iterator[None]:
    """Keep one `cds receiver` process running where a port for DICOM or HL7 is configured."""
    receives = settings.dicom_port is not None or settings.hl7_port is not None
    with _kept("receiver", settings) if receives else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _kept(command: str, settings: Settings) -> Iterator[None]:
    keeper = _ProcessKeeper(command, settings)
    keeper.start()
    try:
        yield
    finally:
        keeper.end()


class _ProcessKeeper(threading.Thread):
    """Starts a process of this program anew when it ends, slower each time it dies young."""

    def __init__(self, command: str, settings: Settings) -> None:
        super().__init__(name=f"{command}-keeper", daemon=True)
        self._command = command
        self._environment = {**os.environ, **_as_environment(settings)}
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        pause = _RESTART_SECONDS
        while not self._ended.is_set():
            started = time.monotonic()
            command = [sys.executable, "-m", "cds", self._command, "--parent", str(os.getpid())]
            self._process = subprocess.Popen(command, env=self._environment)  # noqa: S603
            status = self._process.wait()
            if not self._ended.is_set():
                lived_long = time.monotonic() - started > _LONGEST_RESTART_SECONDS
                pause = _RESTART_SECONDS if lived_long else min(2 * pause, _LONGEST_RESTART_SECONDS)
                _log.error(f"{self._command} ended, starting it anew", code=status)
                self._ended.wait(pause)

    def end(self) -> None:
        self._ended.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self.join(timeout=5)


def _as_environment(settings: Settings) -> dict[str, str]:
    """Return what a child needs to find the same store, whatever its settings file says."""
    return {
        "CDS_DATA_DIR": str(settings.data_dir.resolve()),
        "CDS_INFERENCE_THREADS": str(settings.inference_threads),
        "CDS_LOG_LEVEL": settings.log_level,
        "CDS_WORKER_NICENESS": str(settings.worker_niceness),
        "CDS_TIMEZONE": settings.timezone,
        "CDS_PREVALENCE": json.dumps(settings.prevalence),
        "CDS_FINDING_GATES": json.dumps(settings.finding_gates),
        "CDS_MAX_BODY_MB": str(settings.max_body_mb),
        **_dicom_environment(settings),
        **_encryption(settings),
        **({"CDS_DATABASE_URL": settings.database_url} if settings.database_url else {}),
        **({"CDS_CONFIG_DIR": str(settings.config_dir.resolve())} if settings.config_dir else {}),
    }


def _dicom_environment(settings: Settings) -> dict[str, str]:
    values = {
        name: getattr(settings, name) for name in Settings.model_fields if name.startswith(("dicom_", "hl7_", "tls_"))
    }
    return {
        f"CDS_{name.upper()}": json.dumps(value) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value is not None
    }


def _encryption(settings: Settings) -> dict[str, str]:
    if settings.encryption_key_file is not None:
        return {"CDS_ENCRYPTION_KEY_FILE": str(settings.encryption_key_file.resolve())}
    key = settings.encryption_key
    return {"CDS_ENCRYPTION_KEY": key.get_secret_value()} if key is not None else {}
