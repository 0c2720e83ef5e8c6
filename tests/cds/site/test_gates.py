"""Gates: what of the model's word on a finding leaves, and what a person said of it first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cds.site.gates import Gates
from cds.store.verdicts import SaidVerdict
from vision import ImagingResult
from vision.result import Box, Finding, Heatmap, ModelRef, Region

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MODEL = ModelRef(id="adult", version="1", sha256="0" * 64)
PLACE = Box(x0=0.1, y0=0.1, x1=0.3, y1=0.3)
ELSEWHERE = Box(x0=0.6, y0=0.5, x1=0.8, y1=0.7)
RESULT = ImagingResult(
    findings=tuple(
        Finding(key=key, score=0.9, label=True, threshold=0.5, model=MODEL) for key in ("pneumothorax", "lung_mass")
    ),
    regions=tuple(Region(finding=key, box=PLACE, score=0.9) for key in ("pneumothorax", "lung_mass")),
    heatmaps=tuple(Heatmap(finding=key, height=1, width=1, values=(1.0,)) for key in ("pneumothorax", "lung_mass")),
    analysed_at=NOW,
)


def said(verdict: str, *regions: Box) -> SaidVerdict:
    return SaidVerdict(
        id="v",
        film_id="f",
        finding="pneumothorax",
        verdict=verdict,
        said_by="reader",
        score=0.9,
        label=True,
        model="adult",
        model_version="1",
        model_sha256="0" * 64,
        said_at=NOW,
        regions=regions,
    )


def keys(result: ImagingResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_without_a_setting_everything_leaves() -> None:
    assert Gates({}).released(RESULT, {}) == RESULT


def test_what_is_off_is_neither_shown_nor_released_and_is_named() -> None:
    gates = Gates({"pneumothorax": "off"})
    for result in (gates.shown(RESULT), gates.released(RESULT, {"pneumothorax": said("agree")})):
        assert keys(result) == ["lung_mass"]
        assert {region.finding for region in result.regions} == {"lung_mass"}
        assert {heatmap.finding for heatmap in result.heatmaps} == {"lung_mass"}
        assert "switched it off" in result.not_applicable["pneumothorax"]


def test_what_waits_for_review_is_shown_and_leaves_once_a_person_agrees() -> None:
    gates = Gates({"pneumothorax": "review_first"})
    assert gates.shown(RESULT) == RESULT
    assert keys(gates.released(RESULT, {})) == ["lung_mass"]
    assert "review" in gates.released(RESULT, {}).not_applicable["pneumothorax"]
    assert gates.released(RESULT, {"pneumothorax": said("agree")}) == RESULT


@pytest.mark.parametrize("gate", ["automatic", "review_first"])
@pytest.mark.parametrize("verdict", ["disagree", "not_assessable"])
def test_what_a_person_does_not_confirm_leaves_through_no_gate(gate: str, verdict: str) -> None:
    released = Gates({"pneumothorax": gate}).released(RESULT, {"pneumothorax": said(verdict)})  # type: ignore[dict-item]
    assert keys(released) == ["lung_mass"]
    assert "did not confirm" in released.not_applicable["pneumothorax"]


def test_a_corrected_finding_leaves_with_the_region_that_the_person_drew_and_without_the_models_map() -> None:
    released = Gates({}).released(RESULT, {"pneumothorax": said("corrected", ELSEWHERE)})
    assert keys(released) == ["pneumothorax", "lung_mass"]
    assert [region.box for region in released.regions if region.finding == "pneumothorax"] == [ELSEWHERE]
    assert {heatmap.finding for heatmap in released.heatmaps} == {"lung_mass"}


def test_a_star_stands_for_every_finding_that_is_not_named() -> None:
    gates = Gates({"*": "review_first", "lung_mass": "automatic"})
    assert (gates.of("fracture"), gates.of("lung_mass")) == ("review_first", "automatic")
    assert keys(gates.released(RESULT, {})) == ["lung_mass"]
