"""Follow-ups: the radiologist first, nothing twice, due dates from the report, a ledger that survives re-assessment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fusion import FollowUp, OpenFollowUp, read_patient
from fusion.assessment import Assessment
from tests.fusion import builders as build

NODULE = {"lung_nodule": {"change": "new"}}
CT_IN_THREE_MONTHS = {
    "modality": "CT",
    "body_part": "chest",
    "finding": "lung_nodule",
    "interval_days_min": 90,
    "interval_days_max": 90,
}


def only(assessment: Assessment) -> FollowUp:
    (follow_up,) = assessment.follow_ups
    return follow_up


def in_ledger(follow_up: FollowUp, **more: Any) -> OpenFollowUp:
    """Return a follow-up as the ledger hands it back."""
    return OpenFollowUp(
        **{
            "key": follow_up.key,
            "rule_id": follow_up.rule_id,
            "finding": follow_up.finding,
            "summary": follow_up.summary,
            "orderables": follow_up.orderables,
            "opened_on": build.AT.date(),
            "due_from": follow_up.due_from,
            "due_to": follow_up.due_to,
            **more,
        }
    )


def test_the_window_of_a_rule_is_counted_from_the_day_of_the_report() -> None:
    follow_up = only(build.assessed(text=build.report(NODULE, days_ago=5)))
    day = (build.AT - timedelta(days=5)).date()
    assert (follow_up.due_from, follow_up.due_to) == (day + timedelta(days=14), day + timedelta(days=28))
    assert follow_up.suggestions[0].due_to == follow_up.due_to
    assert follow_up.suggestions[0].orderable == "ct_chest_without_contrast"
    assert (follow_up.source, follow_up.action) == ("rule", "open")


def test_a_follow_up_points_at_the_words_of_the_report() -> None:
    evidence = only(build.assessed(text=build.report(NODULE))).evidence[0]
    assert (evidence.kind, evidence.reference) == ("report", "report/1")
    assert (evidence.start, evidence.end) == (10, 30)


def test_a_recommendation_becomes_a_follow_up_of_the_radiologist_and_outranks_the_rule() -> None:
    assessment = build.assessed(text=build.report(NODULE, recommendations=[CT_IN_THREE_MONTHS], days_ago=1))
    follow_up = only(assessment)
    day = (build.AT - timedelta(days=1)).date()
    assert follow_up.source == "radiologist"
    assert follow_up.due_to == day + timedelta(days=90)
    assert follow_up.orderables == ("ct_chest_without_contrast",)
    assert (follow_up.evidence[0].start, follow_up.evidence[0].end) == (500, 540)
    assert ("nodule_on_radiograph", "outranked") in {(s.rule_id, s.status) for s in assessment.rules}


def test_a_recommendation_for_another_finding_outranks_nothing_that_is_due_earlier() -> None:
    text = build.report({"lung_mass": {}}, recommendations=[CT_IN_THREE_MONTHS | {"finding": "pneumonia"}])
    rules = {follow_up.rule_id for follow_up in build.assessed(text=text).follow_ups}
    assert rules == {"radiologist_recommendation", "lung_mass"}


def test_clinical_correlation_alone_does_not_silence_a_rule() -> None:
    text = build.report(NODULE, recommendations=[{"modality": "clinical", "finding": "lung_nodule"}])
    sources = [follow_up.source for follow_up in build.assessed(text=text).follow_ups]
    assert sources == ["radiologist", "rule"]


def test_a_critical_rule_is_never_outranked() -> None:
    advice = {"modality": "XR", "body_part": "chest", "finding": "tension_pneumothorax", "interval_days_max": 1}
    text = build.report({"tension_pneumothorax": {}}, recommendations=[advice])
    severities = {follow_up.rule_id: follow_up.severity for follow_up in build.assessed(text=text).follow_ups}
    assert severities["tension_pneumothorax"] == "critical"


def test_an_interval_that_the_report_leaves_open_is_taken_from_the_guideline_and_said_so() -> None:
    advice = {
        "modality": "CT", "body_part": "chest", "finding": "lung_nodule", "guideline_days_min": 14,
        "guideline_days_max": 28, "guideline": "a guideline",
    }  # fmt: skip
    follow_up = only(build.assessed(text=build.report(recommendations=[advice])))
    assert follow_up.due_to == (build.AT - timedelta(days=0.5)).date() + timedelta(days=28)
    assert "a guideline" in follow_up.citation
    assert "no interval" in follow_up.detail


def test_a_recommendation_without_any_interval_has_no_due_date() -> None:
    follow_up = only(build.assessed(text=build.report(recommendations=[{"modality": "MR", "body_part": "head"}])))
    assert (follow_up.due_from, follow_up.due_to, follow_up.action) == (None, None, "open")
    assert follow_up.orderables == ("mr_head",)


def test_a_conditional_recommendation_says_so() -> None:
    follow_up = only(build.assessed(text=build.report(recommendations=[CT_IN_THREE_MONTHS | {"conditional": True}])))
    assert follow_up.conditional
    assert follow_up.severity == "info"


@pytest.mark.parametrize(
    ("modality", "part", "finding", "orderable"),
    [
        ("CT", "chest", "lung_mass", "ct_chest_with_contrast"),
        ("CT", None, "lung_nodule", "ct_chest_without_contrast"),
        ("CT", "chest", "lung_metastasis", "ct_chest_with_contrast"),
        ("CT", None, "fracture", None),
        ("XR", "chest", None, "xr_chest_pa_lateral"),
        ("US", "heart", None, "echocardiography"),
        ("MG", None, None, "mg_diagnostic"),
        ("DXA", None, "osteopenia", "dxa_skeletal"),
        ("PET", "chest", None, "pet_ct_whole_body"),
        ("biopsy", None, None, None),
        ("biopsy", "breast", None, "breast_biopsy"),
    ],
)
def test_what_the_radiologist_asks_for_by_orderable(
    modality: str, part: str | None, finding: str | None, orderable: str | None
) -> None:
    advice = {"modality": modality, "body_part": part, "finding": finding}
    follow_up = only(build.assessed(text=build.report(recommendations=[advice])))
    assert follow_up.orderables == (() if orderable is None else (orderable,))


def test_an_examination_is_suggested_once_at_its_earliest() -> None:
    assessment = build.assessed(text=build.report({"lung_mass": {}, "lymphadenopathy": {}}))
    assert [follow_up.rule_id for follow_up in assessment.follow_ups] == ["lung_mass"]
    assert ("enlarged_nodes", "outranked") in {(status.rule_id, status.status) for status in assessment.rules}


def test_what_was_done_after_the_report_is_not_suggested_again() -> None:
    for days_ago, expected in ((2, 0), (20, 1)):
        who = build.patient(age=60, imaging=[{"orderable": "ct_chest_with_contrast", "days_ago": days_ago}])
        assessment = build.assessed(who, text=build.report(NODULE, days_ago=10))
        assert len(assessment.follow_ups) == expected


def test_what_is_ordered_already_is_tracked_and_not_suggested_again() -> None:
    ordered = {"orderable": "ct_chest_without_contrast", "days_ago": 2, "status": "ordered"}
    follow_up = only(build.assessed(build.patient(age=60, imaging=[ordered]), text=build.report(NODULE, days_ago=10)))
    assert follow_up.suggestions == ()
    assert follow_up.orderables == ("ct_chest_without_contrast",)
    assert follow_up.reason is not None
    assert "ordered on 2026-06-13" in follow_up.reason


def test_an_order_from_before_the_report_does_not_count() -> None:
    ordered = {"orderable": "ct_chest_without_contrast", "days_ago": 11, "status": "ordered"}
    follow_up = only(build.assessed(build.patient(age=60, imaging=[ordered]), text=build.report(NODULE, days_ago=10)))
    assert follow_up.suggestions != ()


def test_the_key_survives_re_assessment_and_tells_reports_apart() -> None:
    first = only(build.assessed(text=build.report(NODULE)))
    later = only(build.assessed(text=build.report(NODULE), at=build.AT + timedelta(days=3)))
    other = only(build.assessed(text=build.report(NODULE, reference="report/2")))
    assert first.key == later.key
    assert first.key != other.key


def test_what_is_in_the_ledger_is_kept_and_becomes_overdue_after_its_window() -> None:
    text = build.report(NODULE)
    opened = only(build.assessed(text=text))
    entry = in_ledger(opened)
    for days, action in ((1, "keep"), (28, "keep"), (29, "overdue")):
        follow_up = only(build.assessed(text=text, ledger=(entry,), at=build.AT + timedelta(days=days)))
        assert (follow_up.key, follow_up.action) == (opened.key, action)


def test_doing_the_examination_closes_the_entry_and_says_what_answered_it() -> None:
    text = build.report(NODULE, days_ago=10)
    entry = in_ledger(only(build.assessed(text=text)), opened_on=(build.AT - timedelta(days=9)).date())
    who = build.patient(age=60, imaging=[{"orderable": "ct_chest_with_contrast", "days_ago": 1}])
    for report in (text, None):
        follow_up = only(build.assessed(who, text=report, ledger=(entry,)))
        assert follow_up.action == "close"
        assert follow_up.reason is not None
        assert "done on 2026-06-14" in follow_up.reason


@pytest.mark.parametrize(
    "value", [{"valueCodeableConcept": {"coding": [{"code": "260385009"}]}}, {"valueString": "2+"}]
)
def test_a_laboratory_result_answers_the_follow_up_of_suspected_tuberculosis(value: dict[str, Any]) -> None:
    text = build.report({"tuberculosis": {}}, days_ago=2)
    result = {
        "resourceType": "Observation",
        "id": "afb",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "11545-1"}]},
        "effectiveDateTime": (build.AT - timedelta(days=1)).isoformat(),
        **value,
    }
    before, after = (
        read_patient([{"resourceType": "Patient", "id": "p", "birthDate": "1960-01-01"}, *results], at=build.AT)
        for results in ((), (result,))
    )
    opened = only(build.assessed(before, text=text))
    assert opened.orderables[0] == "sputum_afb"
    closed = only(build.assessed(after, text=text, ledger=(in_ledger(opened),)))
    assert closed.action == "close"
    assert "Observation/afb" in (closed.reason or "")


def test_an_examination_months_before_its_window_does_not_close_it() -> None:
    entry = build.open_follow_up(orderables=["ct_chest_without_contrast"], opens_in_days=90, due_in_days=120)
    who = build.patient(age=60, imaging=[{"orderable": "ct_chest_without_contrast", "days_ago": 1}])
    assert only(build.assessed(who, ledger=(entry,))).action == "keep"


def test_a_later_final_report_that_denies_the_finding_closes_the_entry() -> None:
    entry = build.open_follow_up(orderables=["ct_chest_without_contrast"], due_in_days=5)
    for status, action in (("final", "close"), ("preliminary", "keep")):
        text = build.report({"lung_nodule": {"assertion": "absent"}}, status=status)
        assert only(build.assessed(text=text, ledger=(entry,))).action == action


def test_an_entry_that_nothing_answers_is_never_dropped() -> None:
    entry = build.open_follow_up(orderables=["us_breast"], rule_id="a_rule_of_long_ago", finding="breast_mass")
    follow_up = only(build.assessed(ledger=(entry,)))
    assert (follow_up.key, follow_up.action, follow_up.summary) == ("k1", "keep", "open")


def test_a_newer_report_of_the_same_finding_opens_no_second_entry() -> None:
    first = only(build.assessed(text=build.report(NODULE, days_ago=20)))
    entry = in_ledger(first)
    follow_up = only(build.assessed(text=build.report(NODULE, reference="report/2"), ledger=(entry,)))
    assert (follow_up.key, follow_up.action) == (first.key, "keep")


def test_an_acute_matter_lapses_after_its_time() -> None:
    text = build.report({"endotracheal_tube_malposition": {}}, days_ago=0)
    entry = in_ledger(only(build.assessed(text=text)))
    for days, action in ((3, "overdue"), (4, "close")):
        follow_up = only(build.assessed(text=text, ledger=(entry,), at=build.AT + timedelta(days=days)))
        assert follow_up.action == action
    assert build.assessed(text=text, at=build.AT + timedelta(days=4)).follow_ups == ()


def test_nothing_is_due_for_the_dead() -> None:
    entry = build.open_follow_up(orderables=["us_breast"])
    assessment = build.assessed(build.patient(age=60, deceased=True), text=build.report(NODULE), ledger=(entry,))
    assert [(item.key, item.action) for item in assessment.follow_ups] == [("k1", "close")]


def test_a_film_alone_asks_for_a_follow_up_only_while_no_final_report_has_read_it() -> None:
    film = build.film({"lung_nodule": True})
    assert only(build.assessed(imaging=film)).reason == (
        "seen on the film by the computer only; there is no final report yet"
    )
    assert len(build.assessed(imaging=film, text=build.report(status="preliminary")).follow_ups) == 1
    assert build.assessed(imaging=film, text=build.report()).follow_ups == ()


def test_a_film_finding_below_or_without_a_cut_off_asks_for_nothing() -> None:
    assert build.assessed(imaging=build.film({"lung_nodule": False, "lung_mass": None})).follow_ups == ()


@pytest.mark.parametrize("assertion", ["absent", "historical", "hypothetical", "family"])
def test_what_the_report_does_not_assert_asks_for_nothing(assertion: str) -> None:
    assert build.assessed(text=build.report({"lung_nodule": {"assertion": assertion}})).follow_ups == ()


def test_what_stands_in_the_indication_asks_for_nothing() -> None:
    assert build.assessed(text=build.report({"lung_nodule": {"section": "indication"}})).follow_ups == ()


def test_an_amended_report_that_asks_for_the_same_keeps_the_entry() -> None:
    for advice in (CT_IN_THREE_MONTHS, {"modality": "other", "interval_days_max": 90}):
        first = only(build.assessed(text=build.report(recommendations=[advice])))
        amended = build.report(recommendations=[advice], status="amended", reference="report/2")
        follow_up = only(build.assessed(text=amended, ledger=(in_ledger(first),)))
        assert (follow_up.key, follow_up.action) == (first.key, "keep")


def test_what_screening_offers_is_due_from_now_and_keeps_its_first_window() -> None:
    smoker = build.patient(age=60, smoking={"status": "current", "pack_years": 30}, conditions={}, imaging=[])
    first = only(build.assessed(smoker))
    assert first.due_to == build.AT.date() + timedelta(days=90)
    later = only(build.assessed(smoker, ledger=(in_ledger(first),), at=build.AT + timedelta(days=9)))
    assert (later.action, later.due_to) == ("keep", first.due_to)


def test_bone_density_counts_wherever_it_was_measured() -> None:
    fracture = build.report({"vertebral_compression_fracture": {}}, days_ago=40)
    for days_ago, expected in ((10, 0), (60, 0), (800, 1)):
        who = build.patient(age=70, imaging=[{"orderable": "dxa_hip", "days_ago": days_ago}])
        assert len(build.assessed(who, text=fracture).follow_ups) == expected
