"""Work that did not get done: list what was given up, with the reason, and begin it again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cds.assessing.assessment import utc_now
from cds.cli.output import messages, print_json, screen, wrong_use
from cds.jobs.queue import GivenUp, given_up
from cds.jobs.retrying import retry_given_up, retry_refused
from cds.service import Service
from cds.settings import load_settings

jobs_app = typer.Typer(help="Films, reports and deliveries that were given up.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(jobs_app, name="jobs")


@jobs_app.command("list")
def list_given_up(as_json: _AsJson = False) -> None:
    """List the jobs that were given up, the newest first, each with the reason."""
    with Service(load_settings()).database.reading() as session:
        entries = given_up(session)
    for entry in entries:
        if as_json:
            print_json(_record(entry))
        else:
            to = f" to {entry.job.destination}" if entry.job.destination else ""
            screen.print(
                f"{entry.job.id}  {entry.job.kind}{to}  {entry.at:%Y-%m-%d %H:%M}  {entry.reason}", markup=False
            )
    if not entries and not as_json:
        messages.print("nothing was given up")


@jobs_app.command("retry")
def retry(
    jobs: Annotated[list[str] | None, typer.Argument(help="Ids of jobs, or names of destinations.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was given up.")] = False,
    refused: Annotated[
        bool,
        typer.Option("--refused", help="Films that met no model, of one that is served now."),
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Begin again what was given up, or films that came while a model was refused, after the fault is mended."""
    if [bool(jobs), everything, refused].count(True) != 1:
        raise wrong_use("name jobs or destinations, or give --all, or --refused")
    if refused:
        _retry_refused(as_json)
        return
    with Service(load_settings()).database.writing() as session:
        entries = retry_given_up(session, jobs or None, at=utc_now())
    if as_json:
        for entry in entries:
            print_json(_record(entry))
    else:
        messages.print(f"{len(entries)} jobs wait again")


def _retry_refused(as_json: bool) -> None:
    service = Service(load_settings())
    served = [row["id"] for row in service.models.status() if row["state"] == "served"]
    with service.database.writing() as session:
        films = retry_refused(session, served, at=utc_now())
    if as_json:
        for film in films:
            print_json({"film": film})
    else:
        messages.print(f"{len(films)} films wait again")


def _record(entry: GivenUp) -> dict[str, Any]:
    job = entry.job
    return {
        "id": job.id,
        "kind": job.kind,
        "subject": job.subject_id,
        "destination": job.destination or None,
        "reason": entry.reason,
        "given_up_at": entry.at.isoformat(),
    }
