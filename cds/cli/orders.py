"""A site's catalogue of orders: propose what each code is, and put into force what a person has confirmed."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from cds.cli.audit_trail import recorded
from cds.cli.output import messages, print_json, wrong_use
from cds.service import Service
from cds.settings import load_settings
from cds.site.catalogue import PROPOSAL_COLUMNS, Proposal, confirmed_rows, proposals, with_rows
from cds.site.orders import OrderTable

orders_app = typer.Typer(help="Order codes of the site.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(orders_app, name="orders")


@orders_app.command("import")
def propose(
    catalogue: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV: code, name, and system.")],
    system: Annotated[str | None, typer.Option(help="Code system of all codes, where the file has no column.")] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Sheet to write; default: standard output.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line in place of the sheet.")] = False,
) -> None:
    """Propose an orderable for each code that is not mapped yet, as a sheet with a column to confirm. Maps nothing."""
    found = proposals(catalogue, Service(load_settings()).orders, system=system)
    if as_json:
        for proposal in found:
            print_json(vars(proposal))
    elif out is None:
        _write(found, sys.stdout)
    else:
        with out.open("w", encoding="utf-8", newline="") as file:
            _write(found, file)
    near = sum(bool(proposal.orderable) for proposal in found)
    messages.print(f"{len(found)} codes without a mapping, {near} with a proposal; fill the column confirmed (yes)")


@orders_app.command("confirm")
def confirm(
    sheet: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The sheet, with confirmed filled in.")],
    by: Annotated[str, typer.Option(help="Who confirmed it, for the record.")],
    config_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Site's configs; default: CDS_CONFIG_DIR.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Add the confirmed codes to the site's orders.csv; they are in force from the next start."""
    settings = load_settings()
    folder = config_dir or settings.config_dir
    if folder is None:
        raise wrong_use("no folder for the site's configs: give --config-dir or set CDS_CONFIG_DIR")
    service = Service(settings)
    file = folder / "orders.csv"
    rows = list(confirmed_rows(sheet, service.orders))
    text = with_rows(file.read_text(encoding="utf-8-sig") if file.is_file() else "", rows)
    OrderTable.from_csv(service.configs.packaged_text("orders.csv"), text)
    with recorded(service.audit, "cds orders confirm", user=by):
        folder.mkdir(parents=True, exist_ok=True)
        written = file.with_suffix(".csv.writing")
        written.write_text(text, encoding="utf-8")
        written.replace(file)
    if as_json:
        print_json({"file": str(file), "rows": len(rows)})
    else:
        messages.print(f"{len(rows)} codes added to {file}")


def _write(found: list[Proposal], file: TextIO) -> None:
    writer = csv.DictWriter(file, PROPOSAL_COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for proposal in found:
        writer.writerow({**vars(proposal), "others": " ".join(proposal.others), "confirmed": ""})
