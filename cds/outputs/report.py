"""The structured report: TID 1500 with findings, their scores, and the regions they rest on.

A finding says how its score stands to the operating point, never that it is absent: no clearance is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cds import __version__
from cds.outputs.source import MANUFACTURER, Source, own_concept, own_scheme, stamped
from vision.result import Finding, ModelRef, Region
from vision.result import Measurement as Measured

_SCORE = own_concept("score", "Model score")
_PROBABILITY = codes.DCM.Probability
_STANDS = own_concept("operating_point", "Score against the operating point")
_AT_OR_ABOVE = own_concept("at_or_above", "At or above the operating point")
_BELOW = own_concept("below", "Below the operating point; not a statement of absence")
_NO_POINT = own_concept("no_operating_point", "No operating point ships for this finding")
_SERIES_NUMBER = 9101
_UNITS = {"1": "no units", "mm": "millimeter", "%": "percent", "deg": "degree"}
_Group: TypeAlias = Any
"""One of the groups of TID 1500: TID 1410 with a region, TID 1501 without."""


def structured_report(source: Source, replaces: Dataset | None) -> Dataset:
    """Return the report of a film.

    replaces  the report that this one corrects
    """
    report = MeasurementReport(
        observation_context=_context(source),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=list(_groups(source)) or None,
    )
    made = ComprehensiveSR(
        evidence=[source.header],
        content=report[0],
        series_instance_uid=source.series_uid("report"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=source.instance_uid("report"),
        instance_number=source.revision,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=[replaces] if replaces is not None else None,
        coding_schemes=[own_scheme()],
        **source.equipment(),
    )
    return stamped(made, source)


def _context(source: Source) -> ObservationContext:
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=source.series_uid("device"),
                name=MANUFACTURER,
                manufacturer_name=MANUFACTURER,
                model_name=MANUFACTURER,
                serial_number=__version__,
            ),
        )
    )


def _groups(source: Source) -> Iterator[_Group]:
    regions: dict[str, list[Region]] = {}
    for region in source.result.regions:
        regions.setdefault(region.finding, []).append(region)
    for finding in source.result.findings:
        if not regions.get(finding.key):
            yield _of_film(source, finding)
        for number, region in enumerate(regions.get(finding.key, ()), start=1):
            yield _of_region(source, finding, region, number)
    for measured in source.result.measurements:
        if measured.value is not None:
            yield _of_measure(source, measured)


def _of_film(source: Source, finding: Finding) -> _Group:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(source, finding.key),
        finding_type=source.concept(finding.key),
        algorithm_id=_algorithm(finding.model),
        source_images=[SourceImageForMeasurementGroup.from_source_image(source.header)],
        measurements=_numbers(finding),
        qualitative_evaluations=[_evaluation(finding)],
    )


def _of_region(source: Source, finding: Finding, region: Region, number: int) -> _Group:
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(source, f"{finding.key}-{number}"),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=outline(source, region),
            source_image=SourceImageForRegion.from_source_image(source.header),
        ),
        finding_type=source.concept(finding.key),
        algorithm_id=_algorithm(finding.model),
        measurements=_numbers(finding),
        qualitative_evaluations=[_evaluation(finding)],
    )


def _of_measure(source: Source, measured: Measured) -> _Group:
    words = measured.name.replace("_", " ")
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(source, measured.name),
        finding_type=own_concept(measured.name, words.capitalize()),
        source_images=[SourceImageForMeasurementGroup.from_source_image(source.header)],
        measurements=[
            Measurement(
                name=own_concept(measured.name, words.capitalize()),
                value=round(float(measured.value or 0.0), 6),
                unit=unit_of(measured.unit),
                referenced_images=[SourceImageForMeasurement.from_source_image(source.header)],
            )
        ],
    )


def outline(source: Source, region: Region) -> NDArray[np.float64]:
    """Return a region as a closed line of (column, row) in pixels (PS3.3 C.18.6.1.2)."""
    box = region.box
    corners = region.polygon or ((box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1))
    ring = np.array([*corners, corners[0]], np.float64) * (source.columns, source.rows)
    return np.asarray(np.round(ring, 2), np.float64)


def unit_of(unit: str) -> Code | CodedConcept:
    """Return a UCUM unit as a code."""
    return CodedConcept(unit, "UCUM", _UNITS.get(unit, unit))


def _numbers(finding: Finding) -> list[Measurement]:
    numbers = [Measurement(name=_SCORE, value=round(finding.score, 6), unit=unit_of("1"))]
    if finding.probability is not None:
        numbers.append(Measurement(name=_PROBABILITY, value=round(finding.probability, 6), unit=unit_of("1")))
    return numbers


def _evaluation(finding: Finding) -> QualitativeEvaluation:
    value = {True: _AT_OR_ABOVE, False: _BELOW, None: _NO_POINT}[finding.label]
    return QualitativeEvaluation(name=_STANDS, value=value)


def _tracked(source: Source, name: str) -> TrackingIdentifier:
    return TrackingIdentifier(uid=source.series_uid(f"track-{name}"), identifier=name)


def _algorithm(model: ModelRef) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=f"{MANUFACTURER} {model.id}", version=model.version, parameters=[f"weights sha256 {model.sha256}"]
    )
