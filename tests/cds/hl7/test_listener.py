"""The MLLP port over a real socket: many messages of a connection, and peers that do not behave."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hl7.client import MLLPClient

from cds.errors import ConfigurationError
from cds.hl7 import Feed
from cds.hl7.listener import Listener
from cds.settings import Settings
from tests.cds.hl7.messages import oru, verdict

MakeListener = Callable[..., Listener]
_PATIENCE = 20.0


@pytest.fixture
def make_listener(feed: Feed, free_port: int) -> Iterator[MakeListener]:
    made: list[Listener] = []

    def make(**settings: Any) -> Listener:
        listener = Listener(Settings(**{"hl7_port": free_port, **settings}), feed)
        listener.start()
        made.append(listener)
        return listener

    yield make
    for listener in made:
        listener.stop()


@contextmanager
def _connected(listener: Listener) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=_PATIENCE) as connection:
        yield connection


def _said(connection: socket.socket) -> bytes:
    """Return what the peer says until it closes."""
    parts = []
    while part := connection.recv(4096):
        parts.append(part)
    return b"".join(parts)


def _block(message: bytes) -> bytes:
    return b"\x0b" + message + b"\x1c\r"


def test_messages_of_a_connection_are_answered_one_after_the_other(make_listener: MakeListener) -> None:
    listener = make_listener()
    with MLLPClient("127.0.0.1", listener.port) as client:
        for number in range(3):
            answer = client.send_message(oru(control_id=f"C{number}", order=f"R{number}"))
            assert verdict(answer[1:-2]) == ("AA", f"C{number}")


def test_messages_may_come_together_and_in_pieces(make_listener: MakeListener) -> None:
    listener = make_listener()
    sent = _block(oru(control_id="C1")) + _block(oru(control_id="C2", order="R2"))
    with _connected(listener) as connection:
        for start in range(0, len(sent), 100):
            connection.sendall(sent[start : start + 100])
        connection.shutdown(socket.SHUT_WR)
        said = _said(connection)
    assert [verdict(part.lstrip(b"\x0b")) for part in said.split(b"\x1c\r")[:-1]] == [("AA", "C1"), ("AA", "C2")]


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n\x1c\r", b"\x00" * 40_000, b"\x0b" + b"A" * 40_000])
def test_what_is_no_message_ends_its_connection_and_no_other(make_listener: MakeListener, noise: bytes) -> None:
    listener = make_listener(hl7_max_message_kb=16)
    with MLLPClient("127.0.0.1", listener.port) as good, _connected(listener) as bad:
        bad.sendall(noise)
        bad.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert _said(bad) == b""
        assert verdict(good.send_message(oru())[1:-2])[0] == "AA"


def test_a_connection_that_says_nothing_is_ended(make_listener: MakeListener) -> None:
    listener = make_listener(hl7_idle_s=0.5)
    with _connected(listener) as connection:
        connection.sendall(b"\x0bMSH|^~")
        assert _said(connection) == b""


def test_no_more_connections_than_allowed(make_listener: MakeListener) -> None:
    listener = make_listener(hl7_max_connections=2)
    with _connected(listener) as first, _connected(listener):
        first.sendall(_block(oru()))
        assert b"MSA|AA" in first.recv(4096)
        time.sleep(0.2)
        with _connected(listener) as third:
            assert _said(third) == b""


def test_an_address_that_is_not_named_gets_no_answer(make_listener: MakeListener) -> None:
    listener = make_listener(hl7_addresses=("10.9.8.7",))
    with _connected(listener) as connection:
        assert _said(connection) == b""


def test_a_port_that_is_taken_is_named(make_listener: MakeListener) -> None:
    listener = make_listener()
    with pytest.raises(ConfigurationError, match=f"hl7_port {listener.port}"):
        make_listener(hl7_port=listener.port)
