"""The process that other systems send to: films by DICOM and messages by HL7 v2, each where its port is set."""

from __future__ import annotations

import os
import signal
import threading

from cds.dicom.receiver import Receiver
from cds.hl7 import Feed
from cds.hl7.listener import Listener
from cds.service import Service

_PARENT_SECONDS = 1.0


def receive_until_stopped(service: Service, *, parent: int | None = None) -> None:
    """Receive until SIGTERM or SIGINT, or until the process `parent` is gone.

    Raises DatabaseVersionError when the tables are not at the version of this program, ConfigurationError when a port
    or a TLS file cannot be used.
    """
    service.database.require_current()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    ports = _ports(service)
    for port in ports:
        port.start()
    while not stopped.wait(_PARENT_SECONDS) and parent in (None, os.getppid()):
        pass
    for port in ports:
        port.stop()


def _ports(service: Service) -> list[Receiver | Listener]:
    settings, ports = service.settings, list[Receiver | Listener]()
    if settings.dicom_port is not None:
        ports.append(Receiver(settings, service.film_arrivals, service.commitments, service.audit))
    if settings.hl7_port is not None:
        ports.append(Listener(settings, feed_of(service)))
    return ports


def feed_of(service: Service) -> Feed:
    """Return what takes the HL7 messages of a service."""
    settings = service.settings
    return Feed(
        service.database,
        service.report_arrivals,
        service.configs.identity(),
        settings.zone,
        service.audit,
        settings.hl7_processing_ids,
    )
