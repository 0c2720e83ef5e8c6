"""`cds doctor`: what is unsafe or broken in an installation, and what would be right."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from cds.errors import CdsError
from cds.jobs.queue import waiting
from cds.service import Service
from cds.serving import check_safe_to_serve
from fusion import FusionError
from nlp import NlpError

_LOW_DISK_BYTES = 5 * 1024**3
_LONG_QUEUE = 500


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    level: Literal["ok", "warning", "error"]
    subject: str
    message: str

    def as_record(self) -> dict[str, str]:
        return asdict(self)


def examine(service: Service) -> list[Finding]:
    """Look at settings, configs, models, store and disk; a broken part does not hide the others."""
    checks: tuple[tuple[str, Callable[[Service], Iterator[Finding]]], ...] = (
        ("network", _network),
        ("configs", _configs),
        ("models", _models),
        ("store", _store),
        ("disk", _disk),
    )
    found: list[Finding] = []
    for subject, check in checks:
        try:
            found += check(service)
        except (CdsError, FusionError, NlpError, SQLAlchemyError, OSError) as error:
            found.append(Finding("error", subject, str(error).splitlines()[0]))
    return found


def _network(service: Service) -> Iterator[Finding]:
    settings = service.settings
    check_safe_to_serve(settings)
    yield Finding("ok", "network", f"listens on {settings.host}:{settings.port}")
    if not settings.public_url:
        yield Finding("warning", "network", "CDS_PUBLIC_URL is not set: links and JWT audiences use the listen address")
    if settings.fhir_private_addresses:
        yield Finding("warning", "network", "prefetch may be fetched from private addresses of the allowed hosts")


def _configs(service: Service) -> Iterator[Finding]:
    yield Finding("ok", "configs", f"{len(service.rules)} rules, {len(service.configs.identity().issuers)} issuers")


def _models(service: Service) -> Iterator[Finding]:
    for row in service.models.status():
        level: Literal["ok", "warning", "error"] = {"served": "ok", "off": "warning", "refused": "error"}[row["state"]]  # type: ignore[assignment]
        yield Finding(level, f"model {row['id']}", row.get("reason") or row["state"])


def _store(service: Service) -> Iterator[Finding]:
    mode = stat.S_IMODE(service.settings.data_dir.stat().st_mode) if service.settings.data_dir.exists() else 0o700
    if mode & 0o077:
        yield Finding("error", "store", f"the data folder is open to others (mode {mode:o}); chmod 700")
    if not service.database.is_current():
        yield Finding("error", "store", "the database is not at this version; run `cds migrate`")
        return
    with service.database.reading() as session:
        count = waiting(session)
    yield Finding("warning" if count > _LONG_QUEUE else "ok", "store", f"{count} films and reports wait for the worker")


def _disk(service: Service) -> Iterator[Finding]:
    folder = service.settings.data_dir if service.settings.data_dir.exists() else service.settings.data_dir.absolute().parent
    free = shutil.disk_usage(folder).free
    level: Literal["ok", "warning"] = "warning" if free < _LOW_DISK_BYTES else "ok"
    yield Finding(level, "disk", f"{free / 1024**3:.0f} GiB free")
