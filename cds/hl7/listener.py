"""The MLLP port: blocks in, acknowledgements out, one message of a connection after the other, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from datetime import UTC, datetime

from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server
from hl7.mllp.exceptions import InvalidBlockError

from cds.errors import ConfigurationError
from cds.hl7.feed import Feed
from cds.operating.logs import logger
from cds.operating.network import admits, networks_of, tls_context
from cds.settings import Settings

_START_SECONDS = 30.0
_log = logger(__name__)


class Listener:
    """Listens for connections until stopped, in a thread of its own."""

    def __init__(self, settings: Settings, feed: Feed) -> None:
        """Raises ConfigurationError when the TLS files cannot be used."""
        self._settings = settings
        self._feed = feed
        self._networks = networks_of(settings.hl7_addresses)
        self._tls = tls_context(settings, "hl7_tls", settings.hl7_tls_ca) if settings.hl7_tls else None
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="hl7", daemon=True)
        self.port = settings.hl7_port or 0

    def start(self) -> None:
        """Listen. Raises ConfigurationError when the port is taken."""
        self._thread.start()
        self._ready.wait(_START_SECONDS)
        if self._failure is not None:
            raise ConfigurationError(f"hl7_port {self._settings.hl7_port}: {self._failure.strerror}")
        _log.info("hl7 listener started", host=self._settings.hl7_host, port=self.port)

    def stop(self) -> None:
        """Close the port and the connections; a message not yet acknowledged stays with its sender."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _listen(self) -> None:
        settings = self._settings
        try:
            server = await start_hl7_server(
                self._connected,
                settings.hl7_host,
                settings.hl7_port or 0,
                limit=settings.hl7_max_message_kb * 1024,
                ssl=self._tls,
            )
        except OSError as error:
            self._failure = error
            self._ready.set()
            return
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._stop.wait()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or not self._may_connect(writer):
            writer.close()
            return
        self._open.add(task)
        try:
            await self._converse(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def _may_connect(self, writer: HL7StreamWriter) -> bool:
        peer = writer.get_extra_info("peername")
        if peer is None or not admits(self._networks, peer[0]):
            _log.warning("hl7 connection refused", reason="address")
            return False
        if len(self._open) >= self._settings.hl7_max_connections:
            _log.warning("hl7 connection refused", reason="too many connections")
            return False
        return True

    async def _converse(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        """Answer each block of a connection; one that is no block, too long, or does not come ends it."""
        while True:
            try:
                block = await asyncio.wait_for(reader.readblock(), self._settings.hl7_idle_s)
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    _log.warning("hl7 connection ended", reason="in the middle of a message")
                return
            except (InvalidBlockError, ValueError):
                _log.warning("hl7 connection ended", reason="not a block of MLLP, or too long")
                return
            except (TimeoutError, OSError, ssl.SSLError):
                return
            answer = await asyncio.to_thread(self._feed.receive, block, at=datetime.now(UTC))
            writer.writeblock(answer)
            with contextlib.suppress(OSError):
                await writer.drain()
