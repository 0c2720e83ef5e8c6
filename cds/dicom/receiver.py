"""The service class provider: C-ECHO, C-STORE of films, storage commitment.

A film is acknowledged (status 0000) when it is stored and its job committed, never before; every other status says
that the sender still holds the only copy. Films are stored in the transfer syntax they come in.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Any, Literal

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, _config, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    Verification,
)
from sqlalchemy.exc import SQLAlchemyError

from cds.arrival import FilmArrivals
from cds.arrival.films import OWN_OBJECT
from cds.audit import Access, AuditTrail
from cds.dicom.commitment import Commitments
from cds.dicom.transport import LimitedServer, Limits
from cds.errors import ConfigurationError, NotADicomFilmError, StoreError
from cds.operating.logs import logger, place_of
from cds.operating.network import networks_of, tls_context
from cds.settings import Settings
from cds.store.films import PRIOR

FILM_CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
"""What is received: what `vision.gate` can judge. Anything else is refused at negotiation."""

_LAST_CHOICE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
TRANSFER_SYNTAXES = [*(syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in _LAST_CHOICE), *_LAST_CHOICE]
"""In the order they are chosen where a peer offers several: compressed first, so that nobody unpacks a film for us."""

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
PROCESSING_FAILURE = 0x0110
"""Statuses of C-STORE: PS3.4 table B.2-1; 0110 is of PS3.7 annex C."""

_CONNECTIONS_PER_ASSOCIATION = 2
_log = logger(__name__)


class Receiver:
    """Listens for associations until stopped."""

    def __init__(self, settings: Settings, films: FilmArrivals, commitments: Commitments, audit: AuditTrail) -> None:
        """Raises ConfigurationError when the TLS files cannot be used."""
        self._settings = settings
        self._films = films
        self._commitments = commitments
        self._audit = audit
        self._title = settings.dicom_ae_title
        self._tls = tls_context(settings, "dicom_tls", settings.dicom_tls_ca) if settings.dicom_tls else None
        self._server: LimitedServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("the receiver is not started")
        return int(self._server.server_address[1])

    def associations(self) -> list[Association]:
        """Return the associations that are open."""
        return self._server.active_associations if self._server is not None else []

    def start(self) -> None:
        """Listen. Raises ConfigurationError when the port is taken."""
        settings = self._settings
        _config.LOG_HANDLER_LEVEL = "none"
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        entity = _application_entity(settings)
        address = (settings.dicom_host, settings.dicom_port or 0)
        try:
            self._server = entity.make_server(
                address,
                ssl_context=self._tls,
                evt_handlers=self._handlers(),
                server_class=LimitedServer,
                limits=limits_of(settings),
            )
        except OSError as error:
            raise ConfigurationError(f"dicom_port {settings.dicom_port}: {error.strerror}") from None
        entity._servers.append(self._server)  # where its own shutdown takes it from
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="dicom", daemon=True).start()
        _log.info("dicom receiver started", host=settings.dicom_host, port=self.port)

    def stop(self) -> None:
        """Close the port and abort what is open; a film not yet acknowledged stays with its sender."""
        if self._server is not None:
            for association in self.associations():
                association.abort()
            self._server.shutdown()
            self._server = None

    def _handlers(self) -> list[Any]:
        return [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._commitments.requested),
            (evt.EVT_N_EVENT_REPORT, self._commitments.reported),
            (evt.EVT_DIMSE_RECV, _count_anew),
            (evt.EVT_REJECTED, _log_rejected),
            (evt.EVT_ABORTED, _log_aborted),
        ]

    def _store(self, event: evt.Event) -> int:
        """Store one film and return its status."""
        try:
            caller = event.assoc.requestor.ae_title
            receipt = self._films.receive(
                event.encoded_dataset(),
                source=PRIOR if event.request.MoveOriginatorApplicationEntityTitle == self._title else "c-store",
                calling_ae=caller,
                announced_uid=str(event.request.AffectedSOPInstanceUID),
                at=datetime.now(UTC),
            )
            action: Literal["create", "read"] = "create" if receipt.new else "read"
            self._audit.record(Access(f"dicom:{caller}", action, "C-STORE", thing=f"film/{receipt.film_id}"))
        except NotADicomFilmError as error:
            if error.code == OWN_OBJECT:
                return SUCCESS
            _log.warning("film refused", code=error.code)
            return DATA_SET_DOES_NOT_MATCH if error.code == "other_instance" else CANNOT_UNDERSTAND
        except (OSError, MemoryError, SQLAlchemyError, StoreError) as error:
            _log.error("film not stored", **place_of(error))
            return OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001 - a status is owed whatever went wrong
            _log.error("film not stored", **place_of(error))
            return PROCESSING_FAILURE
        return SUCCESS


def limits_of(settings: Settings) -> Limits:
    """Return the limits that settings name."""
    return Limits(
        networks=networks_of(settings.dicom_addresses),
        connections=_CONNECTIONS_PER_ASSOCIATION * settings.dicom_max_associations,
        seconds=settings.dicom_timeout_s,
        pdu_bytes=settings.dicom_max_pdu_kb * 1024,
        message_bytes=settings.max_body_mb * 1024 * 1024,
    )


def _application_entity(settings: Settings) -> AE:
    entity = AE(settings.dicom_ae_title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.dicom_calling_aes)
    entity.maximum_associations = settings.dicom_max_associations
    entity.maximum_pdu_size = settings.dicom_max_pdu_kb * 1024
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.dicom_timeout_s
    entity.add_supported_context(Verification)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    for film_class in FILM_CLASSES:
        entity.add_supported_context(film_class, TRANSFER_SYNTAXES)
    return entity


def _count_anew(event: evt.Event) -> None:
    event.assoc.dul.socket.message_ended()


def _log_rejected(_: evt.Event) -> None:
    _log.warning("association rejected")


def _log_aborted(_: evt.Event) -> None:
    _log.warning("association aborted")
