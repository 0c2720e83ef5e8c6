"""What every test may ask for: the shared development data, where they are present."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest
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
