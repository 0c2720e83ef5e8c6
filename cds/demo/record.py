"""The demo's documents, kept as package data with placeholders for whatever hangs on the first start.

{{now-2h}} {{now}}  a FHIR instant       {{day-430d}} {{day}}  a date       {{clock-50m}}  hours and minutes
{{birth}} {{age}} {{accession}} {{study}} {{series}}           of the demo patient and film
"""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from cds.demo.state import DemoState

PATIENT_ID = "demo-patient"
NAMESAKE_ID = "demo-namesake"
RECORD_NUMBER = "RD-100417"
ISSUER = "ROENTGEN-DEMO"
_DATA = Path(__file__).parent / "data"
_PLACEHOLDER = re.compile(r"\{\{(?P<name>[a-z]+)(?:-(?P<count>\d+)(?P<unit>[mhd]))?\}\}")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def patient_record(state: DemoState) -> dict[str, Any]:
    """Return the FHIR R4 transaction bundle of the demo patient."""
    return _document(state, "record.json")


def namesake_record(state: DemoState) -> dict[str, Any]:
    """Return the bundle of another patient of the same name, with the film's accession number entered by mistake."""
    return _document(state, "namesake.json")


def drafted_orders(state: DemoState) -> dict[str, Any]:
    """Return the bundle of the orders being drafted."""
    return _document(state, "orders.json")


def report_text(state: DemoState) -> str:
    """Return the radiology report of the film."""
    return _filled(state, "report.txt")


def report_bundle(state: DemoState) -> dict[str, Any]:
    """Return the report as a bundle of a FHIR DiagnosticReport and its Patient."""
    bundle = _document(state, "report.json")
    report = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport")
    report["presentedForm"][0]["data"] = base64.b64encode(report_text(state).encode()).decode("ascii")
    return bundle


def _document(state: DemoState, name: str) -> dict[str, Any]:
    return json.loads(_filled(state, name))  # type: ignore[no-any-return]


def _filled(state: DemoState, name: str) -> str:
    text = (_DATA / name).read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda match: _value(state, match), text)


def _value(state: DemoState, match: re.Match[str]) -> str:
    moment = state.started_at
    if match["count"]:
        moment -= timedelta(**{_UNITS[match["unit"]]: int(match["count"])})
    values = {
        "now": moment.isoformat(),
        "day": moment.date().isoformat(),
        "clock": f"{moment:%H:%M}",
        "birth": state.birth_date.isoformat(),
        "age": str(state.age),
        "accession": state.accession,
        "study": state.uid("study"),
        "series": state.uid("series"),
    }
    return values[match["name"]]
