"""Whose a film or report is, where the program could not tell: list, and a person's word."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cds.assessing.assessment import utc_now
from cds.assessing.resolving import confirm_identity, unresolved
from cds.cli.audit_trail import recorded
from cds.cli.output import messages, print_json, screen, wrong_use
from cds.service import Service
from cds.settings import load_settings

identity_app = typer.Typer(help="Films and reports whose patient is not certain.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(identity_app, name="identity")


@identity_app.command("list")
def list_unresolved(as_json: _AsJson = False) -> None:
    """List films and reports that name no patient of a known issuer, the newest first."""
    with Service(load_settings()).database.reading() as session:
        items = unresolved(session)
    for item in items:
        if as_json:
            print_json(asdict(item))
        else:
            screen.print(f"{item.kind:7s} {item.id}  received {item.received_at:%Y-%m-%d %H:%M}", markup=False)
    if not items and not as_json:
        messages.print("every film and report names a patient of a known issuer")


@identity_app.command("confirm")
def confirm(
    kind: Annotated[str, typer.Argument(help="film or report.")],
    item: Annotated[str, typer.Argument(help="Its id.")],
    identifier: Annotated[str, typer.Argument(help="Of the patient: system|value.")],
    by: Annotated[str, typer.Option(help="Who says so, for the record.")],
    reason: Annotated[str, typer.Option(help="How it is known, for the record.")],
    as_json: _AsJson = False,
) -> None:
    """Take a film or report for a patient's, because a person says so; what it said of itself before is kept."""
    system, _, value = identifier.rpartition("|")
    if kind not in ("film", "report") or not system or not value:
        raise wrong_use("give film or report, its id, and the patient as system|value")
    service = Service(load_settings())
    recording = recorded(service.audit, "cds identity confirm", user=by, thing=f"{kind}/{item}")
    with recording, service.database.writing() as session:
        decision = confirm_identity(
            session,
            kind,  # type: ignore[arg-type]
            item,
            (system, value),
            service.configs.identity(),
            by=by,
            reason=reason,
            at=utc_now(),
        )
    print_json(asdict(decision)) if as_json else messages.print(f"the {kind} is the patient's from now on")
