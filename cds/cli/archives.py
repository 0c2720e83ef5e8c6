"""`cds fetch`: a study fetched anew from an archive, where no look through the archive would notice a change."""

from __future__ import annotations

from typing import Annotated

import typer

from cds.cli.audit_trail import recorded
from cds.cli.output import messages, print_json, wrong_use
from cds.service import Service
from cds.settings import load_settings


def add_to(app: typer.Typer) -> None:
    app.command("fetch")(fetch)


def fetch(
    studies: Annotated[list[str], typer.Argument(help="StudyInstanceUIDs.")],
    node: Annotated[str, typer.Option("--from", help="Id of an entry of pacs.yaml that has a dicomweb address.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Fetch the films of studies anew; one that was changed under the UID it had replaces what is here."""
    service = Service(load_settings())
    archive = next((entry for entry in service.nodes if entry.id == node and entry.dicomweb is not None), None)
    if archive is None:
        raise wrong_use("--from names no entry of pacs.yaml with a dicomweb address")
    for study in studies:
        with recorded(service.audit, "cds fetch", thing=f"study/{study}"):
            count = service.fetching.fetch_again(archive, study)
        if as_json:
            print_json({"study": study, "new": count})
        else:
            messages.print(f"{study}: {count} films new or corrected")
