"""`cds verdicts export`: what people said of findings, as a table for retraining and monitoring."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cds.cli.output import messages

verdicts_app = typer.Typer(help="What people said of findings.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(verdicts_app, name="verdicts")


@verdicts_app.callback()
def _root() -> None:
    pass


@verdicts_app.command("export")
def export(
    out: Annotated[Path | None, typer.Argument(dir_okay=False, help="CSV file to write; default: stdout.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, in the site's zone.")] = None,
) -> None:
    """Write every verdict with score, model, version and drawn regions, without identity, the oldest first."""
    from cds.oversight.verdict_table import export_verdicts
    from cds.service import Service
    from cds.settings import load_settings

    settings = load_settings()
    start = since.replace(tzinfo=settings.zone) if since is not None else None
    with Service(settings).database.reading() as session:
        if out is None:
            count = export_verdicts(session, sys.stdout, since=start)
        else:
            with out.open("w", encoding="utf-8", newline="") as file:
                count = export_verdicts(session, file, since=start)
    messages.print(f"{count} verdict{'' if count == 1 else 's'}")
