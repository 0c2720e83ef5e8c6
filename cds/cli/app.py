"""The verbs, gathered from their modules."""

from __future__ import annotations

from typing import Annotated

import typer

from cds import __version__
from cds.cli import (
    archives,
    audit_trail,
    conformance,
    deidentify,
    feedback,
    films,
    identity,
    jobs,
    keys,
    operate,
    orders,
    records,
    reports,
    simulate,
    study,
    verdicts,
)

app = typer.Typer(
    name="cds",
    help="Roentgen CDS: decision support from radiographs, reports and FHIR records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roentgen-cds {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for module in (
    archives,
    audit_trail,
    deidentify,
    keys,
    operate,
    feedback,
    films,
    identity,
    reports,
    records,
    study,
    conformance,
    jobs,
    orders,
    simulate,
    verdicts,
):
    module.add_to(app)
