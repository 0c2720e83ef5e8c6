"""Time of reading and assessing one patient with 5,000 resources, beside plain `json` loading in the same run.

    python benchmarks/assess_latency.py [--resources 5000] [--rounds 200]

The patient is synthetic; a film, a report, a drafted CT with contrast and all packaged rules take part. Garbage is
collected as in a process of the service.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from cds.operating.heap import settle
from cds.site.configuration import Configs
from cds.site.orders import OrderTable
from fusion import DraftOrder, ImagingInput, ReportInput, RiskModels, assess, compile_rules, read_patient, resources_of
from nlp.result import Mention, StructuredReport
from vision.result import Finding, ImagingResult, ModelRef

AT = datetime(2026, 6, 15, 12, tzinfo=UTC)
_LOINC = "http://loinc.org"
_MEASURED = (
    ("8867-4", 88, "/min"), ("9279-1", 20, "/min"), ("8480-6", 118, "mm[Hg]"), ("59408-5", 94, "%"),
    ("8310-5", 38.2, "Cel"), ("2160-0", 1.4, "mg/dL"), ("3094-0", 21, "mg/dL"), ("2951-2", 137, "mmol/L"),
    ("4544-3", 36, "%"), ("6690-2", 12.5, "10*3/uL"), ("33762-6", 1200, "pg/mL"), ("48065-7", 640, "ng/mL"),
)  # fmt: skip
_IMAGING = ("36643-5", "29252-4", "42148-7", "38268-9", "24725-4")


def bundle(size: int) -> dict[str, Any]:
    """Return a searchset bundle of one patient with `size` resources, spread over ten years."""
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1961-03-02"}
    ]
    for number in range(size - 1):
        at = (AT - timedelta(hours=2 + number * 17)).isoformat()
        resources.append(_resource(number, at))
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources]}


def _resource(number: int, at: str) -> dict[str, Any]:
    common = {"id": str(number), "subject": {"reference": "Patient/p"}}
    kind = number % 10
    if kind < 6:
        code, value, unit = _MEASURED[number % len(_MEASURED)]
        quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
        coded: dict[str, Any] = {"coding": [{"system": _LOINC, "code": code}]}
        return {
            **common, "resourceType": "Observation", "status": "final", "code": coded, "effectiveDateTime": at,
            "valueQuantity": quantity,
        }  # fmt: skip
    if kind < 8:
        coded = {"coding": [{"system": _LOINC, "code": _IMAGING[number % len(_IMAGING)]}], "text": "an examination"}
        return {**common, "resourceType": "DiagnosticReport", "status": "final", "code": coded, "effectiveDateTime": at}
    if kind == 8:
        coded = {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]}
        return {**common, "resourceType": "Condition", "code": coded, "recordedDate": at}
    medication = {"text": "Metformin 500 mg oral tablet"}
    return {
        **common, "resourceType": "MedicationRequest", "status": "active", "intent": "order", "authoredOn": at,
        "medicationCodeableConcept": medication,
    }  # fmt: skip


def film_and_report() -> tuple[ImagingInput, ReportInput]:
    model = ModelRef(id="benchmark", version="1", sha256="0" * 64)
    keys = ("lung_opacity", "pleural_effusion", "cardiomegaly", "lung_nodule", "pneumothorax")
    findings = tuple(Finding(key=key, score=0.7, label=key != "pneumothorax", model=model) for key in keys)
    said = ("pneumonia", "pleural_effusion", "cardiomegaly", "lung_nodule", "lymphadenopathy")
    mentions = tuple(
        Mention(finding=key, assertion="present", section="impression", start=n * 20, end=n * 20 + 12)
        for n, key in enumerate(said)
    )
    at = AT - timedelta(hours=5)
    return (
        ImagingInput(ImagingResult(findings=findings, analysed_at=at), at),
        ReportInput(StructuredReport(findings=mentions, extracted_at=at), at),
    )


Taken = dict[str, list[float]]


def timed(*works: Callable[[], object], rounds: int) -> list[Taken]:
    """Return the ms that each work took in turn, by the clock and by the processor (other load does not count)."""
    taken: list[Taken] = [{"clock": [], "processor": []} for _ in works]
    for turn in range(-3, rounds):
        for work, found in zip(works, taken, strict=True):
            start, used = time.perf_counter(), time.process_time()
            work()
            if turn >= 0:
                found["clock"].append((time.perf_counter() - start) * 1e3)
                found["processor"].append((time.process_time() - used) * 1e3)
    return taken


def shown(taken: Taken) -> str:
    """Return median and 99th percentile."""
    return "   ".join(
        f"{name}: median {np.median(times):7.2f} p99 {np.percentile(times, 99):7.2f} ms"
        for name, times in taken.items()
    )


def ratio(taken: Taken, to: Taken) -> str:
    """Return how many times as long one took as the other, by their medians."""
    return "   ".join(f"{name}: {np.median(times) / np.median(to[name]):.2f} times" for name, times in taken.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    configs = Configs()
    orderables = OrderTable.from_csv(configs.packaged_text("orders.csv")).orderables
    rules = compile_rules(configs.texts("rules"), orderables=orderables, findings=configs.findings())
    risks = RiskModels.load()
    text = json.dumps(bundle(options.resources))
    film, report = film_and_report()
    draft = DraftOrder(id="ServiceRequest/draft", orderable="ct_chest_with_contrast", reason_text="cough")
    settle()

    def read() -> Any:
        return read_patient(resources_of(json.loads(text)), patient_id="p", at=AT)

    resources = resources_of(json.loads(text))
    patient = read_patient(resources, patient_id="p", at=AT)

    def only_assess() -> object:
        return assess(
            replace(patient),  # a new patient each time: nothing is cached
            at=AT, rules=rules, risks=risks, imaging=film, report=report, orders=(draft,), orderables=orderables,
        )  # fmt: skip

    print(f"{options.resources} resources, {len(text) / 1e6:.1f} MB of JSON, {len(rules)} rules")
    plain, parsing = timed(lambda: json.loads(text), read, rounds=max(options.rounds // 10, 5))
    print("json.loads            ", shown(plain))
    print("json.loads and reading", shown(parsing))
    print("reading to json.loads ", ratio(parsing, plain))
    (assessing,) = timed(only_assess, rounds=options.rounds)
    print("assess                ", shown(assessing))


if __name__ == "__main__":
    main()
