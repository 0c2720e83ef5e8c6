"""The processes beside the one that was started: worker at lower priority, receiver of DICOM and HL7, further APIs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from cds.operating.logs import logger
from cds.settings import Settings

_RESTART_SECONDS = 1.0
_LONGEST_RESTART_SECONDS = 30.0
_log = logger(__name__)


@contextlib.contextmanager
def worker_process(settings: Settings) -> Iterator[None]:
    """Keep one `cds worker` process running, started anew if it dies."""
    with kept("worker", settings):
        yield


@contextlib.contextmanager
def receiver_process(settings: Settings) -> Iterator[None]:
    """Keep one `cds receiver` process running where a port for DICOM or HL7 is configured."""
    receives = settings.dicom_port is not None or settings.hl7_port is not None
    with kept("receiver", settings) if receives else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def kept(
    command: str,
    settings: Settings,
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[None]:
    """Keep one `cds COMMAND` process running, started anew if it dies.

    environment  what it is given besides
    """
    keeper = _ProcessKeeper(command, settings, environment)
    keeper.start()
    try:
        yield
    finally:
        keeper.end()


class _ProcessKeeper(threading.Thread):
    """Starts a process of this program anew when it ends, slower each time it dies young."""

    def __init__(self, command: str, settings: Settings, environment: Mapping[str, str]) -> None:
        super().__init__(name=f"{command}-keeper", daemon=True)
        self._command = command
        self._environment = {**os.environ, **_as_environment(settings), **environment}
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
