"""`cds doctor`: what is unsafe or broken in an installation, and what would be right."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from cds.dicom.peers import Peer
from cds.errors import AuthorizationError, CdsError, DeliveryError
from cds.jobs.queue import DELIVERY, given_up, queue_state
from cds.operating.safety import look
from cds.operating.serving import check_safe_to_serve, is_loopback
from cds.service import Service
from cds.settings import SETTINGS_FILE_VARIABLE, unknown_variables
from cds.signin.provider import client_secret
from fusion import FusionError
from nlp import NlpError
from vision import VisionError

_LOW_DISK_BYTES = 5 * 1024**3
_LONG_WAIT = timedelta(minutes=10)


Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    level: Level
    subject: str
    message: str

    def as_record(self) -> dict[str, str]:
        return asdict(self)


def examine(service: Service) -> list[Finding]:
    """Look at settings, configs, models, store and disk; a broken part does not hide the others."""
    checks: tuple[tuple[str, Callable[[Service], Iterator[Finding]]], ...] = (
        ("settings", _settings),
        ("network", _network),
        ("security", _security),
        ("configs", _configs),
        ("models", _models),
        ("store", _store),
        ("deliveries", _deliveries),
        ("archives", _archives),
        ("sign-in", _signin),
        ("disk", _disk),
    )
    found: list[Finding] = []
    for subject, check in checks:
        try:
            found += check(service)
        except (CdsError, FusionError, NlpError, VisionError, SQLAlchemyError, OSError) as error:
            found.append(Finding("error", subject, str(error).splitlines()[0]))
    return found


def _settings(service: Service) -> Iterator[Finding]:
    for name in unknown_variables():
        yield Finding("warning", "settings", f"{name} in the environment is no setting; see `cds config show`")
    for name in sorted(set(service.settings.prevalence) - set(service.configs.findings())):
        yield Finding("warning", "settings", f"prevalence: {name} is no finding of findings.csv")
    named = os.environ.get(SETTINGS_FILE_VARIABLE)
    if named and stat.S_IMODE(Path(named).stat().st_mode) & 0o077 and service.settings.api_keys:
        yield Finding("warning", "settings", "the settings file can be read by others; it may hold keys: chmod 600")


def _network(service: Service) -> Iterator[Finding]:
    settings = service.settings
    check_safe_to_serve(settings)
    yield Finding("ok", "network", f"listens on {settings.host}:{settings.port}")
    if not settings.public_url:
        yield Finding("warning", "network", "CDS_PUBLIC_URL is not set: links and JWT audiences use the listen address")
    if settings.fhir_private_addresses:
        yield Finding("warning", "network", "prefetch may be fetched from private addresses of the allowed hosts")


def _security(service: Service) -> Iterator[Finding]:
    for grave, message in look(service):
        yield Finding(grave, "security", message)


def _configs(service: Service) -> Iterator[Finding]:
    yield Finding("ok", "configs", f"{len(service.rules)} rules, {len(service.configs.identity().issuers)} issuers")


def _models(service: Service) -> Iterator[Finding]:
    for row in service.models.status():
        level: Level = {"served": "ok", "refused": "error"}.get(row["state"], "warning")  # type: ignore[assignment]
        yield Finding(level, f"model {row['id']}", row.get("reason") or row["state"])
    for row in service.models.cut_offs():
        level = "ok" if row["state"] == "in force" else "error"
        yield Finding(level, f"threshold of {row['finding']}", row["reason"] or row["state"])


def _store(service: Service) -> Iterator[Finding]:
    mode = stat.S_IMODE(service.data_dir.stat().st_mode)
    if mode & 0o077:
        yield Finding("error", "store", f"the data folder is open to others (mode {mode:o}); chmod 700")
    if not service.database.is_current():
        yield Finding("error", "store", "the database is not at this version; run `cds migrate`")
        return
    with service.database.reading() as session:
        queue = queue_state(session)
    late = queue.oldest is not None and datetime.now(UTC) - queue.oldest > _LONG_WAIT
    yield Finding(
        "warning" if late else "ok",
        "store",
        f"{queue.waiting} films and reports wait for the worker"
        + (", the oldest for more than 10 minutes; is a worker running?" if late else ""),
    )
    if queue.failed:
        yield Finding("warning", "store", f"{queue.failed} films or reports were given up; see `cds jobs list`")


def _deliveries(service: Service) -> Iterator[Finding]:
    if not service.database.is_current():
        return
    with service.database.reading() as session:
        queue = queue_state(session, DELIVERY)
        lost = [entry for entry in given_up(session) if entry.job.destination]
    yield Finding("ok", "deliveries", f"{queue.waiting} wait to be sent")
    for destination in sorted({entry.job.destination for entry in lost}):
        mine = [entry for entry in lost if entry.job.destination == destination]
        reason = f"the last because {mine[0].reason}; `cds jobs retry {destination}` sends them again"
        yield Finding("warning", "deliveries", f"{len(mine)} to {destination} were given up, {reason}")


def _archives(service: Service) -> Iterator[Finding]:
    """Call every archive and modality that is configured (C-ECHO, QIDO-RS), and look at our own port."""
    settings = service.settings
    if settings.dicom_port is not None:
        open_to_all = not settings.dicom_calling_aes and not settings.dicom_addresses
        text = f"films are received on {settings.dicom_host}:{settings.dicom_port} as {settings.dicom_ae_title}"
        yield Finding("ok", "archives", text + (", from any caller" if open_to_all else ""))
        if not settings.dicom_tls and not is_loopback(settings.dicom_host):
            yield Finding("warning", "archives", "films come without TLS; set CDS_DICOM_TLS where the senders can")
    for node in service.nodes:
        try:
            Peer(node, settings.dicom_ae_title).greet()
        except DeliveryError as error:
            yield Finding("error", f"archive {node.id}", f"does not answer: {error}")
        else:
            yield Finding("ok", f"archive {node.id}", "answers")


def _signin(service: Service) -> Iterator[Finding]:
    """Ask the OpenID provider what it is, where people sign in at one."""
    signin = service.signin
    if not signin.is_configured:
        return
    client_secret(service.settings)
    try:
        found = asyncio.run(signin.discovered())
    except AuthorizationError as error:
        yield Finding("error", "sign-in", f"at {signin.place}: {error}")
        return
    yield Finding("ok", "sign-in", f"people sign in at {signin.place}; register {signin.redirect_uri} there")
    if found.end_session is None:
        yield Finding("warning", "sign-in", f"{signin.place} offers no sign-out: people stay signed in there")


def _disk(service: Service) -> Iterator[Finding]:
    free = shutil.disk_usage(service.data_dir).free
    level: Level = "warning" if free < _LOW_DISK_BYTES else "ok"
    yield Finding(level, "disk", f"{free / 1024**3:.0f} GiB free")
