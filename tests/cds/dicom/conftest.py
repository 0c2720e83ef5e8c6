"""A receiver on loopback with a store of its own, and a peer that calls it."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification

from cds.arrival import FilmArrivals
from cds.audit import AuditTrail
from cds.dicom.commitment import Commitments
from cds.dicom.nodes import Node
from cds.dicom.receiver import FILM_CLASSES, Receiver
from cds.settings import Settings
from cds.store import BlobFolder, Database
from cds.store.keyring import Keyring

Listen = Callable[..., Receiver]


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditTrail]:
    trail = AuditTrail(Database(f"sqlite:///{tmp_path}/audit.sqlite3"), Keyring(tmp_path).key)
    yield trail
    trail.database.close()


@pytest.fixture
def listen(films: FilmArrivals, database: Database, blobs: BlobFolder, audit: AuditTrail) -> Iterator[Listen]:
    """Start a receiver with settings of its own, and the nodes it knows; it is stopped at the end."""
    with contextlib.ExitStack() as started:

        def start(*, nodes: Sequence[Node] = (), **given: Any) -> Receiver:
            settings = Settings(**{"dicom_timeout_s": 5.0, "max_body_mb": 2, **given})
            commitments = Commitments(database, blobs, nodes, settings.dicom_ae_title)
            receiver = Receiver(settings, films, commitments, audit)
            receiver.start()
            started.callback(receiver.stop)
            return receiver

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A key and a certificate for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = {"tls_certificate": folder / "tls.pem", "tls_key": folder / "tls.key"}
    files["tls_certificate"].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files["tls_key"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@contextlib.contextmanager
def calling(
    port: int,
    *,
    calling_ae: str = "NORTHPACS",
    called_ae: str = "ROENTGEN",
    syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    **tls: Any,
) -> Iterator[Association]:
    """An association of a peer, released or aborted at the end; whether it was accepted is the test's to ask."""
    peer = AE(calling_ae)
    peer.add_requested_context(Verification)
    for film_class in FILM_CLASSES:
        peer.add_requested_context(film_class, list(syntaxes))
    peer.acse_timeout = peer.dimse_timeout = peer.network_timeout = 20
    association = peer.associate("127.0.0.1", port, ae_title=called_ae, **tls)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def dataset_of(film: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(film))


def send_bytes(association: Association, sop_class: str, announced_uid: str, data: bytes) -> int:
    """Send bytes as the data set of a film, whatever they are, and return the status."""
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, announced_uid
    request.DataSet = io.BytesIO(data)
    context = next(context for context in association.accepted_contexts if context.abstract_syntax == sop_class)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    association.dimse.send_msg(request, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return int(answer.Status)
