"""`cds score`, `cds risk` and `cds predict`: numbers from records."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pandas as pd
import typer
from rich.markup import escape

from cds.assessing.assessment import utc_now
from cds.cli.documents import read_documents
from cds.cli.output import EXIT_SOME_REJECTED, complain, messages, print_json, screen, wrong_use
from cds.fhir.assessments import assessment_bundle
from cds.service import Service
from cds.settings import load_settings
from cds.site.codes import FindingCodes
from fusion import (
    Assessment,
    FusionError,
    ImagingInput,
    ReportInput,
    assess,
    read_patient,
    resources_of,
    searched_types,
)
from fusion.errors import RecordError
from fusion.risks import predict_deterioration
from fusion.scores import SCORES, calculate
from nlp import ReportContext
from vision import Technique, UnreadableImageError, read_radiograph

predict_app = typer.Typer(help="Learned risks for tables in the layout of the shared data.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.command("score")(score)
    app.command("risk")(risk)
    app.add_typer(predict_app, name="predict")


def score(
    name: Annotated[str | None, typer.Argument(help="Name of the score.")] = None,
    source: Annotated[str, typer.Argument(help="JSON or JSON Lines of inputs; `-` for stdin.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the scores and their inputs.")] = False,
) -> None:
    """Calculate a score; missing inputs give the minimum and maximum they allow, never a normal value."""
    if list_all:
        for definition in SCORES.values():
            print_json(definition.describe()) if as_json else _show_definition(definition.describe())
        return
    if name is None or name not in SCORES:
        raise wrong_use(f"unknown score {name!r}; `cds score --list` names them")
    rejected = 0
    for number, inputs in read_documents(source):
        record = _scored(name, inputs, number)
        rejected += "rejected" in record
        print_json(record) if as_json else screen.print(record)
    if rejected:
        raise typer.Exit(EXIT_SOME_REJECTED)


def _show_definition(row: dict[str, Any]) -> None:
    inputs = [item["name"] + (f" ({item['unit']})" if item["unit"] else "") for item in row["inputs"]]
    screen.print(f"[bold]{row['name']}[/]  {escape(row['title'])}; {escape(row['population'])}")
    screen.print(f"    {', '.join(inputs)}", markup=False)


def _scored(name: str, inputs: Any, number: int) -> dict[str, Any]:
    if isinstance(inputs, ValueError):
        return {"rejected": str(inputs)}
    if not isinstance(inputs, dict):
        return {"rejected": f"line {number}: expected an object of inputs"}
    try:
        return calculate(name, inputs)
    except FusionError as error:
        return {"rejected": str(error)}


def risk(
    bundle: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="FHIR R4 Bundle of one patient.")],
    image: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="The patient's film.")] = None,
    report: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The film's report, as text.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Time of the assessment, ISO 8601; default: now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
    as_fhir: Annotated[bool, typer.Option("--fhir", help="A FHIR R4 Bundle of what the assessment says.")] = False,
) -> None:
    """Assess the patient of a bundle, with a film and a report if given; the caller vouches that they are theirs."""
    settings = load_settings()
    service = Service(settings)
    when = utc_now() if at is None else _time(at, settings.zone)
    try:
        document = json.loads(bundle.read_text(encoding="utf-8"))
        patient = read_patient(resources_of(document), at=when, searched=searched_types(document))
    except (ValueError, RecursionError, RecordError) as error:
        raise _rejected(bundle, str(error) if isinstance(error, RecordError) else "not JSON", as_json) from None
    age = patient.age_at(when)
    try:
        imaging = _imaging(service, image, age, patient.sex, when)
    except UnreadableImageError as error:
        raise _rejected(image or bundle, str(error), as_json) from None
    text = _report(service, report, age, patient.sex, when)
    assessment = assess(
        patient,
        at=when,
        rules=service.rules,
        risks=service.models.risks,
        imaging=imaging,
        report=text,
        orderables=service.orders.orderables,
    )
    if as_fhir:
        print_json(assessment_bundle(assessment, patient.id, FindingCodes(service.configs.findings())))
    elif as_json:
        print_json(assessment.model_dump(mode="json"))
    else:
        show_assessment(assessment)
    if imaging is not None and imaging.result.rejection is not None:
        raise typer.Exit(EXIT_SOME_REJECTED)


def _time(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong_use(f"--at {text}: give a time as 2026-01-31T08:30 or 2026-01-31T08:30:00+01:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _rejected(file: Path, reason: str, as_json: bool) -> typer.Exit:
    if as_json:
        print_json({"file": str(file), "rejected": reason})
    else:
        complain(f"{file}: {reason}")
    return typer.Exit(EXIT_SOME_REJECTED)


def _imaging(service: Service, image: Path | None, age: Any, sex: str | None, at: datetime) -> ImagingInput | None:
    if image is None:
        return None
    result = service.models.analyzer.analyze(read_radiograph(image), Technique(age_years=age, sex=sex), at=at)
    return ImagingInput(result=result, at=at, status="current", reference=image.name)


def _report(service: Service, report: Path | None, age: Any, sex: str | None, at: datetime) -> ReportInput | None:
    if report is None:
        return None
    text = report.read_bytes().decode("utf-8", "surrogateescape")
    structured = service.models.extractor.extract(text, ReportContext(age=age, sex=sex), at=at)
    return ReportInput(report=structured, at=at, status="final", reference=report.name)


def show_assessment(assessment: Assessment) -> None:
    """Print an assessment for a person: scores, risks, findings, follow-ups, checks, and what was missing."""
    for modality in assessment.modalities:
        screen.print(f"{modality.name:8s} {modality.status} {modality.detail or ''}", markup=False)
    for item in assessment.scores:
        value = item.value if item.value is not None else item.reason
        bounds = "" if item.minimum is None else f" ({item.minimum:g} to {item.maximum:g})"
        missing = f"; missing: {', '.join(item.missing)}" if item.missing else ""
        screen.print(f"score    {item.title}: {value}{bounds} {item.band or ''}{missing}", markup=False)
    for entry in assessment.risks:
        shown = f"{entry.probability:.1%}" if entry.probability is not None else f"{entry.status}: {entry.reason}"
        screen.print(f"risk     {entry.title}: {shown}", markup=False)
        for reason in entry.contributions[:5]:
            screen.print(f"         {reason.weight:+.2f} {reason.text}", markup=False)
    for finding in assessment.findings:
        image = "-" if finding.image_score is None else f"{finding.image_score:.2f}"
        screen.print(
            f"finding  {finding.key}: report {finding.report_assertion or '-'}, image {image} ({finding.agreement})",
            markup=False,
        )
    for follow_up in assessment.follow_ups:
        due = f", due {follow_up.due_from} to {follow_up.due_to}" if follow_up.due_to else ""
        screen.print(f"due      [{follow_up.action}] {follow_up.summary}{due}", markup=False)
    for check in assessment.order_checks:
        screen.print(f"order    [{check.severity}] {check.summary}", markup=False)
    for dropped in assessment.dropped:
        screen.print(f"dropped  {dropped.reference}: {dropped.reason}", markup=False)


@predict_app.command("deterioration")
def deterioration(
    events: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Parquet: record, minute, parameter, value.")
    ],
    output: Annotated[Path | None, typer.Option(help="CSV file; default: standard output.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, in place of CSV.")] = False,
) -> None:
    """Predict in-hospital death of adult ICU stays from their events."""
    _write(predict_deterioration(_table(pd.read_parquet, events)), output, as_json)


@predict_app.command("severity")
def severity(
    cohort: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV in the layout of the COVID cohort.")],
    images: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the films.")],
    output: Annotated[Path | None, typer.Option(help="CSV file; default: standard output.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, in place of CSV.")] = False,
) -> None:
    """Predict ICU or intubation from film, note, vitals and laboratory."""
    from cds.studies.severity_table import severity_table
    from fusion.risks import predict_severity

    models = Service(load_settings()).models
    for row in models.risks.status():
        if row["id"] == "severity" and row["state"] == "off":
            messages.print(f"the model is for study, not in service: {row['reason']}", markup=False)
    _write(predict_severity(severity_table(_table(pd.read_csv, cohort), images, models)), output, as_json)


def _table(read: Callable[[Path], pd.DataFrame], file: Path) -> pd.DataFrame:
    try:
        return read(file)
    except (ValueError, OSError) as error:
        raise wrong_use(f"{file}: cannot be read as a table ({type(error).__name__})") from None


def _write(table: pd.DataFrame, output: Path | None, as_json: bool) -> None:
    text = table.to_json(orient="records", lines=True) if as_json else table.to_csv(index=False)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
        messages.print(f"wrote {output}: {len(table)} rows", markup=False)
