"""Connections within limits: addresses, number, time, and size of what a peer may make us hold.

Knows PDUs (PS3.8 section 9.3) only by their length; what they mean is pynetdicom's.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any

from pynetdicom.fsm import StateMachine
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from cds.operating.logs import logger
from cds.operating.network import Network, admits

_READ_BYTES = 1 << 18
_LARGEST_ASSOCIATE_PDU = 1 << 17
_QUEUED_MESSAGES = 2
_log = logger(__name__)


@dataclass(frozen=True)
class Limits:
    """What one peer, and all of them together, may ask of this machine.

    networks       addresses that may connect; empty: any
    connections    open at once, negotiated or not
    seconds        for a TLS handshake, for one whole PDU, and for silence on an association
    pdu_bytes      longest P-DATA-TF PDU, as announced to the peer
    message_bytes  longest DIMSE message: command and data set of one instance
    """

    networks: tuple[Network, ...]
    connections: int
    seconds: float
    pdu_bytes: int
    message_bytes: int

    def admits(self, address: str) -> bool:
        """Whether a peer of this address may connect."""
        return admits(self.networks, address)


class TooMuchError(OSError):
    """A peer sent more, or more slowly, than the limits allow; pynetdicom ends the association on any OSError."""


class LimitedSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom is untyped here
    """The socket of one association; reads whole PDUs quickly, and none that is too long or too slow."""

    def __init__(self, assoc: Any, client_socket: socket.socket, limits: Limits) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._limits = limits
        self._message_bytes = 0

    def message_ended(self) -> None:
        """Begin to count the bytes of the next message."""
        self._message_bytes = 0

    @property
    def ready(self) -> bool:
        """Whether to read on; a peer that sends without awaiting answers is left to its own buffers."""
        if self.assoc.dimse.msg_queue.qsize() >= _QUEUED_MESSAGES:
            return False
        return bool(super().ready)

    def recv(self, nr_bytes: int) -> bytearray:
        """Return exactly `nr_bytes`, or fewer when the peer is gone. Raises TooMuchError or TimeoutError."""
        self._message_bytes += nr_bytes
        if nr_bytes > max(self._limits.pdu_bytes, _LARGEST_ASSOCIATE_PDU):
            raise TooMuchError("a PDU is longer than was negotiated")
        if self._message_bytes > self._limits.message_bytes:
            raise TooMuchError("a message is longer than any film may be")
        if self.socket is None:
            raise OSError("the connection is closed")
        received, deadline = bytearray(nr_bytes), time.monotonic() + self._limits.seconds
        count = 0
        with memoryview(received) as view:
            while count < nr_bytes:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TooMuchError("a PDU came too slowly")
                self.socket.settimeout(left)
                got = self.socket.recv_into(view[count:], min(nr_bytes - count, _READ_BYTES))
                if not got:
                    break
                count += got
        self.socket.settimeout(self._limits.seconds)
        return received[:count]


class LimitedServer(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections within limits; a thread of its own for each, also for its TLS handshake."""

    daemon_threads = True
    limits: Limits

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        self.limits = limits
        self._places = threading.BoundedSemaphore(limits.connections)
        super().__init__(*args, request_handler=_OneConnection, **kwargs)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept, and nothing more: the accepting thread never waits for a peer."""
        if self.socket is None:
            raise OSError("the server is closed")
        client, address = self.socket.accept()
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether the peer may connect now; takes one of the places."""
        if not self.limits.admits(str(client_address[0])):
            _log.warning("connection refused", reason="address not allowed")
            return False
        if not self._places.acquire(blocking=False):
            _log.warning("connection refused", reason="too many connections")
            return False
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end, and give its place back."""
        try:
            request.settimeout(self.limits.seconds)
            if self.ssl_context is not None:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
        except (OSError, ssl.SSLError) as error:
            _log.warning("connection refused", reason="handshake", error_type=type(error).__name__)
        finally:
            self._places.release()
            with contextlib.suppress(OSError):
                request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a connection failed, without what was sent."""
        _log.error("connection failed")


class _OneConnection(RequestHandler):  # type: ignore[misc]
    """Runs the association of one connection until it is over."""

    server: LimitedServer

    def handle(self) -> None:
        association = self._create_association()
        association.start()
        association.join()

    def _create_association(self) -> Any:
        association = super()._create_association()
        association.dul.socket = LimitedSocket(association, self.request, self.server.limits)
        association.dul.state_machine = _ForgivingMachine(association.dul)
        _drop_second_connection_event(association)
        return association


class _ForgivingMachine(StateMachine):  # type: ignore[misc]
    """Ends the association of a peer that says what has no place in its conversation (PS3.8 table 9-10)."""

    def do_action(self, event: str) -> None:
        try:
            super().do_action(event)
        except Exception as error:  # noqa: BLE001 - whatever the library makes of it, only this association ends
            _log.warning("association ended", reason="out of place", error_type=type(error).__name__)
            self.dul.assoc.is_aborted, self.dul.assoc.is_established = True, False
            self.dul.assoc._kill = self.dul._kill_thread = True


def _drop_second_connection_event(association: Any) -> None:
    """Keep one of the two `transport connection indication` events that making a socket twice has queued."""
    association.dul.event_queue.get_nowait()
