"""`cds conformance URL`: the CDS Hooks checklist against any server, ours or another's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from cds.cli.output import EXIT_FAILURE, complain, print_json, screen, wrong_use
from cds.conformance import Credentials, as_junit, as_text, run


def add_to(app: typer.Typer) -> None:
    app.command("conformance")(conformance)


def conformance(
    url: Annotated[str, typer.Argument(help="Base of the server, without /cds-services.")],
    example: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="Requests (JSON) that make services speak.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="Issuer that the server knows; needs --key.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Its private key (JWK with kid), for ES384 or RS384."),
    ] = None,
    fhir_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for a FHIR server that the server may call on loopback.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(dir_okay=False, help="Write JUnit XML here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check a CDS Hooks server over HTTP alone; exit status 1 when a SHALL is broken."""
    if (issuer is None) != (key is None):
        raise wrong_use("--issuer and --key go together")
    credentials = Credentials(issuer, _document(key)) if issuer and key else None
    try:
        results = run(
            url, credentials=credentials, examples=[_document(path) for path in example or ()], fhir_port=fhir_port
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        complain(f"{url}: no answer ({type(error).__name__})")
        raise typer.Exit(EXIT_FAILURE) from None
    if junit is not None:
        junit.write_text(as_junit(results, url), encoding="utf-8")
    if as_json:
        for result in results:
            print_json(asdict(result))
    else:
        screen.print(as_text(results), markup=False, soft_wrap=True)
    if any(result.status == "failed" for result in results):
        raise typer.Exit(EXIT_FAILURE)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise wrong_use(f"{path}: not JSON") from None
    if not isinstance(document, dict):
        raise wrong_use(f"{path}: expected a JSON object")
    return document
