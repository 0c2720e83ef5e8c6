"""What every test may ask for: the shared development data, where they are present."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright
from pynetdicom.transport import AssociationSocket

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


def _close_in_any_case(self: AssociationSocket) -> None:
    with contextlib.suppress(OSError):
        self.socket.shutdown(socket.SHUT_RDWR)
    self.socket.close()


# pynetdicom leaves a socket open whose peer went first; its warning then fails whatever test runs at that moment.
AssociationSocket._shutdown_socket = _close_in_any_case


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the shared development data; skips where it is absent."""
    folder = Path(os.environ.get("CDS_SHARED_DATA", _BESIDE_THE_CHECKOUT))
    if not folder.is_dir():
        pytest.skip("the shared development data are absent; set CDS_SHARED_DATA to their folder")
    return folder


@pytest.fixture
def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return the system's Chromium, driven; skips where there is none."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("the system has no Chromium")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Any, int], None]]:
    """Return what serves an application on a port of loopback, in this process, until the test is over."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any, port: int) -> None:
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.02)

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()
