"""Processes of the real command line for tests: started with settings of their own, and ended with their children."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

KEY = "a-key-of-the-tests-01"
PATIENCE_SECONDS = 600.0
_BARE = """
import uvicorn
from cds.api import create_app
from cds.service import Service
from cds.settings import load_settings
service = Service(load_settings())
service.database.migrate()
uvicorn.run(create_app(service), port=service.settings.port, log_config=None, lifespan="off")
"""


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(**settings: Any) -> dict[str, str]:
    """Return the environment without settings of the machine, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    return {**kept, **{f"CDS_{name.upper()}": str(value) for name, value in settings.items()}}


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true value of a condition; fails when it never comes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            value = condition()
            if value:
                return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


@dataclass(frozen=True)
class DemoRun:
    """A finished `cds run --once`."""

    folder: Path
    code: int
    out: str
    err: str


def run_demo_once(folder: Path) -> DemoRun:
    """Run the demo to its end on a port of its own."""
    command = [sys.executable, "-m", "cds", "run", "--once", "--port", str(free_port()), "--data-dir", str(folder)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS, check=False
    )
    return DemoRun(folder, done.returncode, done.stdout, done.stderr)


def start_bare(port: int, *prefix: str, **settings: Any) -> subprocess.Popen[bytes]:
    """Start the service alone, without a worker and with nothing loaded before it is asked for; it is not throttled.

    prefix  what its process is started with
    """
    told = {"port": port, "log_level": "error", "requests_per_second": 10_000, "requests_burst": 10_000, **settings}
    command = [*prefix, sys.executable, "-c", _BARE]
    process = subprocess.Popen(command, env=environment(**told), stdout=subprocess.DEVNULL)

    def lives() -> bool:
        assert process.poll() is None, "the service ended by itself"
        return httpx.get(f"http://127.0.0.1:{port}/health/live").is_success

    wait_for(lives, "the service")
    return process


@dataclass
class Served:
    """A `cds serve` of its own; it can be killed and started again on the same data.

    more  settings beside those that every test has
    """

    folder: Path
    more: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        given = {"data_dir": self.folder / "data", "port": self.port, "api_keys": f'{{"tests": "{KEY}"}}'}
        settings = environment(**{**given, "log_level": "warning", **self.more})
        command = [sys.executable, "-m", "cds", "serve"]
        with (self.folder / "log.jsonl").open("ab") as log:
            self.process = subprocess.Popen(command, env=settings, stderr=log, cwd=self.folder, start_new_session=True)
        wait_for(lambda: httpx.get(f"{self.address}/health/live").is_success, "the service")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)

    def log(self) -> str:
        return (self.folder / "log.jsonl").read_text()

    def children(self, verb: str, count: int = 1) -> list[int]:
        """Return the process ids of its `cds VERB`, once there are so many."""
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task")

        def found() -> list[int] | None:
            numbers = " ".join(file.read_text() for file in tasks.glob("*/children")).split()
            running = [n for n in numbers if f"\0cds\0{verb}\0" in Path(f"/proc/{n}/cmdline").read_text()]
            return [int(n) for n in running] if len(running) == count else None

        return wait_for(found, f"{count} processes of `cds {verb}`")  # type: ignore[no-any-return]

    def kill(self) -> None:
        """Kill service and worker at once, as a power cut does."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def served(folder: Path, **more: Any) -> Iterator[Served]:
    """A running service, killed at the end."""
    service = Served(folder, more)
    try:
        service.start()
        yield service
    finally:
        service.kill()
