"""Findings seen from both sides: the report first, the film only above its cut-off, disagreement ranked."""

from __future__ import annotations

import dataclasses

import pytest

from fusion.assessment import FindingView
from fusion.findings import finding_views, findings_said, second_look
from tests.fusion import builders as build


def view(assertion: str | None, label: bool | None, *, assessed: bool = True) -> FindingView:
    said = {} if assertion is None else {"pneumothorax": {"assertion": assertion}}
    film = build.film({"pneumothorax": label} if assessed else {"cardiomegaly": False})
    views = {v.key: v for v in finding_views(build.report(said), film)}
    return views["pneumothorax"]


@pytest.mark.parametrize(
    ("assertion", "label", "agreement"),
    [
        ("present", True, "agree"),
        ("possible", True, "agree"),
        ("absent", False, "agree"),
        ("absent", True, "image_only"),
        (None, True, "image_only"),
        ("present", False, "report_only"),
        ("possible", False, "not_comparable"),
        ("present", None, "not_comparable"),
        ("historical", True, "not_comparable"),
        (None, False, "not_comparable"),
        (None, None, "not_comparable"),
    ],
)
def test_how_report_and_film_compare(assertion: str | None, label: bool | None, agreement: str) -> None:
    assert view(assertion, label).agreement == agreement


def test_a_finding_that_the_film_was_not_assessed_for_is_not_comparable() -> None:
    seen = view("present", None, assessed=False)
    assert (seen.agreement, seen.image_score) == ("not_comparable", None)


def test_both_sides_stand_with_their_evidence() -> None:
    seen = view("present", True)
    assert (seen.report_assertion, seen.report_status, seen.image_label, seen.image_score) == (
        "present",
        "final",
        True,
        0.9,
    )
    words, region = seen.evidence
    assert (words.kind, words.start, words.end) == ("report", 10, 30)
    assert (region.kind, region.reference, region.detail) == ("imaging", "film/1", "pneumothorax 0.90 (right lower)")


def test_a_wider_finding_of_the_film_is_answered_by_a_narrower_one_of_the_report() -> None:
    views = {v.key: v for v in finding_views(build.report({"consolidation": {}}), build.film({"lung_opacity": True}))}
    assert views["lung_opacity"].agreement == "agree"


def test_of_several_mentions_the_one_that_asserts_the_most_counts() -> None:
    text = build.report({"lung_nodule": {"assertion": "absent"}})
    twice = text.report.findings + build.report({"lung_nodule": {"change": "stable", "size_mm": 7}}).report.findings
    text = type(text)(text.report.model_copy(update={"findings": twice}), text.at)
    said = findings_said(text)["lung_nodule"]
    assert (said.assertion, said.change, said.size_mm, len(said.evidence)) == ("present", "stable", 7, 1)


def test_sides_of_several_mentions_make_a_bilateral_finding() -> None:
    left, right = (build.report({"pleural_effusion": {"laterality": side}}) for side in ("left", "right"))
    both = left.report.model_copy(update={"findings": left.report.findings + right.report.findings})
    assert findings_said(type(left)(both, left.at))["pleural_effusion"].laterality == "bilateral"


def test_what_stands_in_the_history_is_no_finding() -> None:
    assert findings_said(build.report({"lung_nodule": {"section": "history"}})) == {}


def test_nothing_is_compared_without_a_usable_film_or_report() -> None:
    assert finding_views(None, None) == ()
    assert (
        finding_views(
            build.report(refusal="not English"), build.film({"pneumothorax": True}, status="identity_unresolved")
        )
        == ()
    )
    assert finding_views(None, build.film(rejected="not a chest film")) == ()


def test_the_second_look_lists_disagreement_with_a_denied_finding_first() -> None:
    views = finding_views(
        build.report({"pneumothorax": {"assertion": "absent"}, "lung_mass": {}, "cardiomegaly": {}}),
        build.film({"pneumothorax": True, "lung_mass": False, "cardiomegaly": True, "fibrosis": True}),
    )
    assert [v.key for v in second_look(views)] == ["pneumothorax", "fibrosis", "lung_mass"]


def test_views_come_in_a_fixed_order() -> None:
    keys = [
        v.key
        for v in finding_views(build.report({"pneumonia": {}, "atelectasis": {}}), build.film({"cardiomegaly": None}))
    ]
    assert keys == sorted(keys)


@pytest.mark.parametrize(("normal", "agreement"), [(False, "agree"), (True, "image_only"), (None, "image_only")])
def test_the_triage_of_the_film_stands_beside_the_verdict_of_the_report(normal: bool | None, agreement: str) -> None:
    said = build.report({"lung_mass": {}})
    said = dataclasses.replace(said, report=said.report.model_copy(update={"normal": normal}))
    views = {v.key: v for v in finding_views(said, build.film({"abnormal": True}))}
    assert views["abnormal"].agreement == agreement


def test_a_ct_report_is_no_reading_of_the_film() -> None:
    views = finding_views(build.report({"lung_nodule": {}}, modality="CT"), build.film({"lung_nodule": False}))
    assert [(view.report_assertion, view.image_label, view.agreement) for view in views] == [
        ("present", False, "not_comparable")
    ]
    assert second_look(views) == ()
