"""Builds patients, films, reports and drafts for tests from short descriptions in plain data."""

from __future__ import annotations

import csv
import functools
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from fusion import DraftOrder, ImagingInput, OpenFollowUp, Orderable, Patient, ReportInput, RiskModels, assess
from fusion.assessment import Assessment, RiskResult
from fusion.facts import Allergy, Condition, Encounter, Imaging, Medication, Observation, Smoking
from fusion.rules import RuleSet, compile_rules
from nlp.result import Mention, Recommendation, SizeMeasurement, StructuredReport
from vision.result import Finding, ImagingResult, ModelRef, Region, Rejection

AT = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
_MODEL = ModelRef(id="test", version="1", sha256="0" * 64)


class NoRisks(RiskModels):
    """No learned risk is served."""

    def __init__(self) -> None:
        super().__init__(None, None, {})

    def assess(self, *_: Any) -> tuple[RiskResult, ...]:  # type: ignore[override]
        return ()


@functools.cache
def orderables() -> Mapping[str, Orderable]:
    """Return the packaged table of what can be ordered."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (CONFIGS / "orders.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows[row["orderable"]].append(row)
    return {key: _orderable(key, of_key) for key, of_key in rows.items()}


def _orderable(key: str, rows: list[dict[str, str]]) -> Orderable:
    def first(column: str) -> Any:
        return next((row[column] for row in rows if row[column]), None)

    codes = frozenset((row["system"], row["code"]) for row in rows if row["code"])
    return Orderable(
        key, first("display") or key, first("modality"), first("region"), first("contrast"), first("laterality"), codes
    )


@functools.cache
def finding_keys() -> frozenset[str]:
    with (CONFIGS / "findings.csv").open(encoding="utf-8", newline="") as file:
        return frozenset(row["key"] for row in csv.DictReader(file))


def rule_texts() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((CONFIGS / "rules").glob("*.yaml"))}


@functools.cache
def packaged_rules() -> RuleSet:
    return compile_rules(rule_texts(), orderables=orderables(), findings=finding_keys())


def patient(**given: Any) -> Patient:
    """Return a patient.

    age, sex, conditions {key: onset days ago or None}, medications [key], allergies {key: severity},
    observations {key: value} or {key: [value, days ago]}, imaging [{orderable, days_ago, status}],
    encounter {kind, icu}, smoking {status, pack_years, quit_years_ago}, kinds [further resource types]
    """
    born = None if given.get("age") is None else date(AT.year - given["age"], 1, 1)
    kinds = set(given.get("kinds", ()))
    for name, kind in (
        ("conditions", "Condition"),
        ("medications", "MedicationRequest"),
        ("allergies", "AllergyIntolerance"),
        ("observations", "Observation"),
        ("imaging", "ServiceRequest"),
        ("encounter", "Encounter"),
    ):
        kinds |= {kind} if name in given else set()
    smoking = given.get("smoking") or {}
    quit_on = None
    if smoking.get("quit_years_ago") is not None:
        quit_on = (AT - timedelta(days=365.25 * smoking["quit_years_ago"])).date()
    observations = dict(given.get("observations") or {})
    if smoking.get("pack_years") is not None:
        observations["pack_years"] = smoking["pack_years"]
    return Patient(
        id="p1",
        birth_date=born,
        sex=given.get("sex"),
        deceased=given.get("deceased", False),
        observations=tuple(_observation(key, value) for key, value in observations.items()),
        conditions=tuple(
            Condition(
                frozenset({key}), True, None if days is None else (AT - timedelta(days=days)).date(), f"Condition/{key}"
            )
            for key, days in (given.get("conditions") or {}).items()
        ),
        medications=tuple(
            Medication(frozenset({key}), True, None, None, f"MedicationRequest/{key}")
            for key in given.get("medications", ())
        ),
        allergies=tuple(
            Allergy(frozenset({key}), severity, f"AllergyIntolerance/{key}")
            for key, severity in (given.get("allergies") or {}).items()
        ),
        encounters=_encounters(given.get("encounter")),
        imaging=tuple(examination(**entry) for entry in given.get("imaging") or ()),
        smoking=Smoking(smoking.get("status"), smoking.get("pack_years"), quit_on, "Observation/smoking"),
        kinds=frozenset(kinds),
    )


def _observation(key: str, value: Any) -> Observation:
    number, days = value if isinstance(value, list) else (value, 0.05)
    held = number if isinstance(number, str | bool) else float(number)
    return Observation(key, held, AT - timedelta(days=days), f"Observation/{key}")


def _encounters(given: Mapping[str, Any] | None) -> tuple[Encounter, ...]:
    if given is None:
        return ()
    return (Encounter(given.get("kind"), given.get("icu", False), AT - timedelta(days=2), None, "Encounter/1"),)


def examination(*, orderable: str, days_ago: float | None, status: str = "done", number: int = 1) -> Imaging:
    """Return an entry of the record that stands for an orderable, by one of its codes or in words."""
    known = orderables()[orderable]
    at = None if days_ago is None else AT - timedelta(days=days_ago)
    codes = frozenset(sorted(known.codes)[:1])
    return Imaging(codes, known.modality, known.display, at, status, f"ServiceRequest/{orderable}-{number}")


def report(
    said: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    status: str = "final",
    modality: str | None = None,
    scores: Mapping[str, Any] | None = None,
    days_ago: float = 0.5,
    recommendations: tuple[Mapping[str, Any], ...] | list[Mapping[str, Any]] = (),
    refusal: str | None = None,
    reference: str = "report/1",
) -> ReportInput:
    """Return a report; `said` is {finding: {assertion, change, laterality, size_mm, ...}}."""
    mentions = tuple(_mention(key, dict(what or {}), number) for number, (key, what) in enumerate((said or {}).items()))
    structured = StructuredReport(
        refusal=refusal,
        modality=modality,  # type: ignore[arg-type]
        findings=mentions,
        scores=dict(scores or {}),
        recommendations=tuple(Recommendation(**{"start": 500, "end": 540, **entry}) for entry in recommendations),
        extracted_at=AT,
    )
    at = AT - timedelta(days=days_ago)
    return ReportInput(structured, at, status, reference)  # type: ignore[arg-type]


def _mention(key: str, what: dict[str, Any], number: int) -> Mention:
    size = what.pop("size_mm", None)
    measured = () if size is None else (SizeMeasurement(values_mm=(float(size),)),)
    start = 10 + 30 * number
    defaults = {"assertion": "present", "section": "findings", "start": start, "end": start + 20}
    return Mention(**{"finding": key, "measurements": measured, **defaults, **what})


def film(
    shown: Mapping[str, bool | None] | None = None,
    *,
    days_ago: float = 0.6,
    status: str = "current",
    rejected: str | None = None,
    reference: str = "film/1",
) -> ImagingInput:
    """Return a film; `shown` is {finding: label}."""
    labels = dict(shown or {})
    result = ImagingResult(
        rejection=None if rejected is None else Rejection(code="not_chest", reason=rejected),
        findings=tuple(
            Finding(key=key, score=0.9 if label else 0.1, label=label, model=_MODEL) for key, label in labels.items()
        ),
        regions=tuple(
            Region(finding=key, box={"x0": 0.1, "y0": 0.1, "x1": 0.4, "y1": 0.5}, score=0.9, side="right", zone="lower")
            for key, label in labels.items()
            if label
        ),
        analysed_at=AT,
    )
    return ImagingInput(result, AT - timedelta(days=days_ago), status, reference)  # type: ignore[arg-type]


def draft(
    *, orderable: str | None, reason: str | None = None, codes: tuple[str, ...] | list[str] = (), **more: Any
) -> DraftOrder:
    return DraftOrder(
        **{
            "id": "ServiceRequest/draft",
            "orderable": orderable,
            "reason_text": reason,
            "reason_codes": tuple(codes),
            **more,
        }
    )


def open_follow_up(
    *, orderables: list[str], opens_in_days: int | None = None, due_in_days: int | None = None, **more: Any
) -> OpenFollowUp:
    def day(days: int | None) -> date | None:
        return None if days is None else (AT + timedelta(days=days)).date()

    defaults = {"key": "k1", "rule_id": "nodule_on_radiograph", "finding": "lung_nodule", "summary": "open"}
    return OpenFollowUp(
        **{
            **defaults,
            "orderables": tuple(orderables),
            "opened_on": (AT - timedelta(days=30)).date(),
            "due_from": day(opens_in_days),
            "due_to": day(due_in_days),
            **more,
        }
    )


def assessed(
    who: Patient | None = None,
    *,
    rules: RuleSet | None = None,
    imaging: ImagingInput | None = None,
    text: ReportInput | None = None,
    orders: tuple[DraftOrder, ...] = (),
    ledger: tuple[OpenFollowUp, ...] = (),
    at: datetime = AT,
) -> Assessment:
    """Return the assessment with the packaged rules and orderables and no learned risk."""
    return assess(
        who if who is not None else patient(age=60),
        at=at,
        rules=rules if rules is not None else packaged_rules(),
        risks=NoRisks(),
        imaging=imaging,
        report=text,
        orders=orders,
        open_follow_ups=ledger,
        orderables=orderables(),
    )
