"""`cds purge`: removes what the settings do not keep, or all of one patient."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cds.assessing.assessment import utc_now
from cds.cli.audit_trail import account
from cds.cli.output import messages, print_json
from cds.service import Service
from cds.settings import load_settings


def add_to(app: typer.Typer) -> None:
    app.command("purge")(purge)


def purge(
    patient: Annotated[
        str | None, typer.Option(help="All of one patient, as system|value; default: what is too old.")
    ] = None,
    do_it: Annotated[bool, typer.Option("--do-it", help="Remove it; without this, only count.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Count, or with --do-it remove, what CDS_RETENTION_DAYS does not keep, or all that is kept of one patient.

    A removal is in the audit trail. What a backup holds of it stays there.
    """
    retention, account_name, now = Service(load_settings()).retention, account(), utc_now()
    if patient is not None:
        found = retention.remove_patient(patient, at=now, by=account_name, dry_run=not do_it)
    else:
        found = retention.purge(at=now, by=account_name, dry_run=not do_it)
    if as_json:
        print_json({"removed": do_it, **asdict(found)})
        return
    counts = ", ".join(f"{count} {kind}" for kind, count in asdict(found).items())
    messages.print(f"{'removed' if do_it else 'would remove (--do-it does)'}: {counts}", markup=False)
