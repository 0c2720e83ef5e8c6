"""`cds audit-trail`: whether the trail is whole, and the trail as FHIR AuditEvents. (`cds audit` is another thing.)"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cds.audit import Access, AuditTrail
from cds.cli.output import EXIT_FAILURE, complain, messages, print_json, wrong_use
from cds.errors import CdsError
from cds.fhir.audit_events import audit_event
from cds.service import Service
from cds.settings import load_settings

trail_app = typer.Typer(help="Who touched whose data: verify and export the audit trail.", no_args_is_help=True)

_Patient = Annotated[str | None, typer.Option(help="Of one patient, as system|value.")]
_Time = Annotated[str | None, typer.Option(help="ISO 8601, such as 2026-01-31T08:30.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(trail_app, name="audit-trail")


def account() -> str:
    """Return who works at the command line, for the trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown account"


@contextmanager
def recorded(trail: AuditTrail, verb: str, *, user: str | None = None, thing: str | None = None) -> Iterator[None]:
    """Put an operator's act into the trail: before it is done, and once more when it failed or was refused."""
    act = Access(account(), "execute", verb, user=user, thing=thing)
    trail.record(act)
    try:
        yield
    except Exception as error:
        trail.record(replace(act, outcome="refused" if isinstance(error, CdsError) else "failed"))
        raise


@trail_app.command("verify")
def verify(
    head: Annotated[str | None, typer.Option(help="A head kept elsewhere; its entry must still be there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at every entry: whether one was changed, removed or inserted. Keep the head that is printed elsewhere."""
    verification = Service(load_settings()).audit.verify(head=head)
    if as_json:
        print_json(asdict(verification))
    else:
        messages.print(f"{verification.entries} entries, head {verification.head}", markup=False, soft_wrap=True)
        for seq in verification.clock_back:
            messages.print(f"the clock was set back before entry {seq}; the order of entries holds", markup=False)
        for seq, problem in verification.problems:
            complain(f"entry {seq}: {problem}")
    if verification.problems:
        raise typer.Exit(EXIT_FAILURE)


@trail_app.command("export")
def export(patient: _Patient = None, since: _Time = None, until: _Time = None) -> None:
    """Print entries as FHIR R4 AuditEvents, one a line, in their order; the export is an entry itself."""
    settings = load_settings()
    trail = Service(settings).audit
    begin, end = _moment(since, settings.zone), _moment(until, settings.zone)
    trail.record(Access(account(), "read", "cds audit-trail export", patient=patient))
    for entry in trail.entries(patient=patient, since=begin, until=end):
        print_json(audit_event(entry, site=settings.base_url))


def _moment(text: str | None, zone: ZoneInfo) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong_use(f"{text}: give a time as 2026-01-31T08:30 or 2026-01-31T08:30:00+01:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
