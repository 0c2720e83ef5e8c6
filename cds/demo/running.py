"""The demo as a process: a service of its own on loopback, the journey through it, and the wait for Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import httpx
import uvicorn
from pydantic import SecretStr

from cds.demo.ehr import ISSUER, SigningKey
from cds.demo.journey import Journey, Shown
from cds.demo.screen import DemoScreen
from cds.demo.state import DemoState
from cds.errors import DemoError
from cds.operating.logs import configure_logs
from cds.operating.processes import worker_process
from cds.operating.serving import http_server
from cds.service import Service
from cds.settings import PREFIX, Settings, load_settings

HOST = "127.0.0.1"
CLIENT = "demo"
_BACKLOG = 128
_START_SECONDS = 300.0
_ANSWER_SECONDS = 60.0
_KEY_SET = "demo-ehr.jwks.json"
_LOG = "demo.log"


def run_demo(data_dir: Path, *, port: int, once: bool) -> None:
    """Show the demo and, unless `once`, serve it until Ctrl-C.

    data_dir  the demo's own folder; made on the first start
    port      port on 127.0.0.1, the only address it listens on

    Raises DemoError when the port is taken, the folder is not a demo's, or a step fails.
    """
    screen = DemoScreen()
    with _listening(port) as listener:
        state = DemoState.of(data_dir)
        key, signing_key = secrets.token_urlsafe(24), SigningKey()
        settings = _settings(state, port, key, signing_key)
        screen.banner(data_dir, first=state.shown() is None)
        service = Service(settings)
        service.database.migrate()
        _ = service.assessor
        with (
            _logging_to(data_dir / _LOG, settings.log_level),
            _interruptible(),
            worker_process(settings),
            _served(http_server(service), listener),
        ):
            with httpx.Client(base_url=settings.base_url, timeout=_ANSWER_SECONDS) as client:
                screen.models(client.get("/health/ready").json())
                _show(screen, state, Journey(state, client, key, signing_key))
            screen.addresses(settings.base_url, CLIENT, key, state.shown(), stays=not once)
            if not once:
                _wait_for_interrupt()
    screen.farewell()


def _show(screen: DemoScreen, state: DemoState, journey: Journey) -> None:
    earlier = state.shown()
    if earlier is not None:
        screen.show(Shown.from_record(earlier), state, repeated=True)
        return
    with screen.steps() as tell:
        shown = journey.go(tell)
    screen.show(shown, state, repeated=False)
    state.remember(shown.as_record())


def _settings(state: DemoState, port: int, key: str, signing_key: SigningKey) -> Settings:
    """Return the demo's settings; those of a site in the environment are put aside, for the worker process too."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        del os.environ[name]
    key_set = state.folder / _KEY_SET
    key_set.write_text(json.dumps(signing_key.public_set()), encoding="utf-8")
    return load_settings(
        data_dir=state.folder,
        host=HOST,
        port=port,
        api_keys={CLIENT: SecretStr(key)},
        jwt_issuers={ISSUER: str(key_set.resolve())},
        worker_niceness=0,
        log_level="error",
    )


@contextlib.contextmanager
def _logging_to(file: Path, level: str) -> Iterator[None]:
    """Keep the service's log out of what the demo prints."""
    with file.open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        configure_logs(level)
        yield


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise DemoError(f"port {port} on {HOST}: {error.strerror}; choose another with --port") from None
        yield listener


@contextlib.contextmanager
def _served(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise DemoError(f"the HTTP server did not start; {_LOG} in the data folder says why")
        time.sleep(0.02)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C, so that the worker process ends with this one; and both also in the background."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for_interrupt() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
