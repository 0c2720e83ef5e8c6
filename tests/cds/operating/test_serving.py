"""Serving is safe or refused, and a worker is always there while the service is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cds.errors import ConfigurationError, UnsafeToServeError
from cds.operating import processes
from cds.operating.processes import worker_process
from cds.operating.serving import check_safe_to_serve, is_loopback, serve_forever
from cds.service import Service
from cds.settings import Settings, load_settings

OPEN = "0.0.0.0"  # noqa: S104 - what must be refused
KEYS = {"api_keys": {"ward": SecretStr("0123456789abcdef")}}
ISSUERS = {"jwt_issuers": {"https://ehr": "https://ehr/jwks"}}
PROXY = {"trusted_proxy": "10.0.0.4"}


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("", False),
        ("192.168.1.4", False),
        ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


@pytest.mark.parametrize("host", [OPEN, "::", "192.168.1.4", "cds.example"])
@pytest.mark.parametrize(
    "protection", [{}, KEYS, ISSUERS, PROXY, {**KEYS, **ISSUERS}, {**KEYS, **PROXY}, {**ISSUERS, **PROXY}]
)
def test_half_a_protection_is_refused_beyond_loopback(host: str, protection: dict[str, Any]) -> None:
    with pytest.raises(UnsafeToServeError):
        check_safe_to_serve(Settings(host=host, **protection))


def test_authentication_and_tls_or_a_proxy_are_enough(tmp_path: Path) -> None:
    check_safe_to_serve(Settings(host=OPEN, **KEYS, **ISSUERS, **PROXY))
    files = {"tls_certificate": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    for file in files.values():
        file.touch()
    check_safe_to_serve(Settings(host=OPEN, **KEYS, **ISSUERS, **files))
    with pytest.raises(UnsafeToServeError):
        check_safe_to_serve(Settings(host=OPEN, **KEYS, **ISSUERS, tls_key=files["tls_key"]))


def test_a_tls_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        check_safe_to_serve(Settings(tls_certificate=tmp_path / "absent.pem"))


def test_the_worker_has_the_settings_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        data_dir=tmp_path,
        config_dir=tmp_path,
        database_url="postgresql+psycopg://cds@db/cds",
        timezone="Europe/Berlin",
        inference_threads=3,
        worker_niceness=7,
        log_level="error",
        prevalence={"lung_mass": 0.1},
    )
    for name in [name for name in os.environ if name.upper().startswith("CDS_")]:
        monkeypatch.delenv(name)
    for name, value in processes._as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Put a sleeping process in place of each worker, and return those that were started."""
    begun: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def sleeper(command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        assert command[1:] == ["-m", "cds", "worker", "--parent", str(os.getpid())]
        assert env["CDS_DATA_DIR"]
        begun.append(popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return begun[-1]

    monkeypatch.setattr(processes.subprocess, "Popen", sleeper)
    monkeypatch.setattr(processes, "_RESTART_SECONDS", 0.01)
    monkeypatch.setattr(processes, "_LONGEST_RESTART_SECONDS", 0.04)
    return begun


def _wait_for(count: int, processes: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + 20
    while len(processes) < count and time.monotonic() < until:
        time.sleep(0.01)
    assert len(processes) == count


def test_a_worker_that_dies_is_started_anew_and_ends_with_the_service(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    with worker_process(Settings(data_dir=tmp_path)):
        for count in range(1, 5):
            _wait_for(count, started)
            if count < 4:
                started[-1].kill()
    assert [process.poll() is not None for process in started] == [True] * 4


def test_a_port_that_another_program_has_is_named(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings(data_dir=tmp_path, port=port)
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1: Address already in use"):
            serve_forever(Service(settings))
    assert started == []


def test_a_worker_ends_when_its_service_is_killed(tmp_path: Path) -> None:
    from cds.store import Database

    data = tmp_path / "data"
    data.mkdir()
    Database(f"sqlite:///{data}/roentgen.sqlite3").migrate()
    script = (
        "import os, subprocess, sys;"
        "worker = subprocess.Popen([sys.executable, '-m', 'cds', 'worker', '--parent', str(os.getpid())]);"
        "print(worker.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "CDS_DATA_DIR": str(data), "CDS_WORKER_NICENESS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    worker = int(done.stdout)
    until = time.monotonic() + 240
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
    assert "Traceback" not in done.stderr
