"""`cds extract`: structured reports from text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape

from cds.arrival.contexts import GivenContext
from cds.cli.documents import read_texts
from cds.cli.output import EXIT_SOME_REJECTED, print_json, screen
from cds.fhir.report import ReportFrame, diagnostic_report
from cds.models import Models
from cds.pages.report import report_page
from cds.settings import load_settings
from cds.site.codes import FindingCodes
from cds.site.configuration import Configs
from nlp import Extractor, StructuredReport


def add_to(app: typer.Typer) -> None:
    app.command("extract")(extract)


def extract(
    source: Annotated[
        str, typer.Argument(help="A report text, or JSON Lines with `id` and `text`; `-` for stdin.")
    ] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say which entry of the lexicon fired.")] = False,
    as_fhir: Annotated[bool, typer.Option("--fhir", help="One FHIR R4 DiagnosticReport a line.")] = False,
    page: Annotated[
        Path | None, typer.Option("--html", help="Also write the texts, highlighted, to this file.")
    ] = None,
) -> None:
    """Extract findings, recommendations, critical results and inconsistencies from radiology reports."""
    settings = load_settings()
    configs = Configs(settings.config_dir)
    extractor, findings = Models(settings, configs).extractor, configs.findings()
    pages: list[tuple[str, str, StructuredReport]] = []
    rejected = 0
    for number, item in read_texts(source):
        report = _extracted(extractor, item, number)
        record = report if isinstance(report, dict) else as_record(item.get("id"), report, explain)
        rejected += "rejected" in record
        if page is not None and isinstance(report, StructuredReport):
            pages.append((str(item.get("id") or f"Report {number}"), item["text"], report))
        if as_fhir and isinstance(report, StructuredReport) and report.refusal is None:
            frame = ReportFrame(issued=report.extracted_at)
            print_json(diagnostic_report(report, item["text"], FindingCodes(findings), frame))
        else:
            print_json(record) if as_json or as_fhir else _show(record, item)
    if page is not None:
        display = {key: entry.display for key, entry in findings.items()}
        page.write_text(report_page(pages, display), encoding="utf-8")
    if rejected:
        raise typer.Exit(EXIT_SOME_REJECTED)


def _extracted(extractor: Extractor, item: Any, number: int) -> StructuredReport | dict[str, Any]:
    """Return what was read, or the record that says why the line was not."""
    if isinstance(item, ValueError):
        return {"id": None, "rejected": str(item)}
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return {"id": None, "rejected": f"line {number}: expected an object with `id` and `text`"}
    try:
        given = GivenContext.model_validate(item["context"]) if item.get("context") is not None else None
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, e["loc"])) for e in error.errors(include_input=False))
        return {"id": item.get("id"), "rejected": f"line {number}: context: {fields} not as described"}
    return extractor.extract(item["text"], given.as_context() if given else None)


def as_record(identifier: Any, report: StructuredReport, explain: bool = False) -> dict[str, Any]:
    """Return the published JSON of one report."""
    if report.refusal is not None:
        return {"id": identifier, "rejected": report.refusal}
    hidden = None if explain else {"rule"}
    return {
        "id": identifier,
        "findings": [m.model_dump(mode="json", exclude=hidden) for m in report.findings],
        "recommendations": [r.model_dump(mode="json", exclude=hidden) for r in report.recommendations],
        "critical": [c.model_dump(mode="json") for c in report.critical],
        "communication": report.communication.model_dump(mode="json"),
        "scores": report.scores,
        "inconsistencies": [i.model_dump(mode="json") for i in report.inconsistencies],
        "labels": report.labels,
        "normal": report.normal,
    }


def _show(record: dict[str, Any], item: Any) -> None:
    if "rejected" in record:
        screen.print(f"[red]rejected[/]: {escape(record['rejected'])}")
        return
    text = item["text"]
    for kind in ("findings", "recommendations", "critical"):
        for entry in record[kind]:
            words = " ".join(text[entry["start"] : entry["end"]].split())
            name = entry.get("finding") or entry.get("modality")
            detail = entry.get("assertion") or entry.get("urgency") or entry.get("body_part") or ""
            rule = f"  [dim]{escape(entry['rule'])}[/]" if entry.get("rule") else ""
            screen.print(f"{kind[:-1] if kind != 'critical' else kind:16s} {name:24s} {detail!s:12s} ", end="")
            screen.print(f"“{escape(words)}”{rule}")
