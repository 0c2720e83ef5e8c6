"""Order checks: per selected draft, with the evidence they rest on, the gravest first, never a block."""

from __future__ import annotations

from fusion.assessment import OrderCheck
from tests.fusion import builders as build


def checks(who: dict[str, object], **order: object) -> tuple[OrderCheck, ...]:
    return build.assessed(build.patient(**who), orders=(build.draft(**order),)).order_checks  # type: ignore[arg-type]


def test_an_unmapped_draft_gets_no_check_and_no_status() -> None:
    assessment = build.assessed(
        build.patient(age=60, allergies={"iodinated_contrast": "severe"}), orders=(build.draft(orderable=None),)
    )
    assert assessment.order_checks == ()
    assert assessment.rules == ()


def test_only_selected_drafts_are_checked() -> None:
    who = build.patient(age=60, allergies={"iodinated_contrast": "severe"})
    orders = (
        build.draft(orderable="ct_chest_with_contrast", id="ServiceRequest/1", selected=False),
        build.draft(orderable="ct_pulmonary_angiography", id="ServiceRequest/2"),
    )
    assert {check.order_id for check in build.assessed(who, orders=orders).order_checks} == {"ServiceRequest/2"}


def test_the_observation_behind_a_check_is_named_with_value_and_date() -> None:
    found = checks({"age": 70, "observations": {"egfr": 25}, "conditions": {}}, orderable="ct_chest_with_contrast")
    (check,) = [check for check in found if check.rule_id == "contrast_egfr_below_30"]
    assert check.severity == "warning"
    assert "25" in check.detail
    (evidence,) = [item for item in check.evidence if item.reference == "Observation/egfr"]
    assert "eGFR 25" in evidence.detail
    assert "2026-06-15" in evidence.detail


def test_creatinine_alone_is_enough_for_the_kidney_check() -> None:
    who = {"age": 70, "sex": "male", "observations": {"creatinine_mg_dl": 2.4}, "conditions": {}}
    found = checks(who, orderable="ct_chest_with_contrast")
    (check,) = [check for check in found if check.rule_id == "contrast_egfr_below_30"]
    assert [item.reference for item in check.evidence] == ["Observation/creatinine_mg_dl", "Condition"]


def test_without_creatinine_the_kidney_check_is_not_evaluable() -> None:
    assessment = build.assessed(
        build.patient(age=40, conditions={}), orders=(build.draft(orderable="ct_chest_with_contrast"),)
    )
    missing = {status.rule_id: status.missing for status in assessment.rules}
    assert missing["contrast_egfr_below_30"] == ("egfr",)
    assert not any(check.rule_id.startswith("contrast_egfr") for check in assessment.order_checks)


def test_the_alternative_fits_the_draft() -> None:
    for orderable, alternative in (
        ("ct_chest_with_contrast", ["ct_chest_without_contrast"]),
        ("ct_pulmonary_angiography", ["vq_scan"]),
        ("ct_abdomen_pelvis_with_contrast", []),
    ):
        found = checks({"age": 60, "allergies": {"iodinated_contrast": "severe"}}, orderable=orderable)
        (check,) = [check for check in found if check.rule_id == "contrast_reaction_severe"]
        assert [suggestion.orderable for suggestion in check.suggestions] == alternative


def test_the_gravest_check_comes_first() -> None:
    found = checks(
        {"age": 60, "allergies": {"iodinated_contrast": "severe"}, "observations": {"egfr": 25}, "conditions": {}},
        orderable="ct_pulmonary_angiography",
    )
    ranks = [{"critical": 0, "warning": 1, "info": 2}[check.severity] for check in found]
    assert ranks == sorted(ranks)
    assert found[0].rule_id == "contrast_reaction_severe"


def test_shellfish_raises_no_alert() -> None:
    assert checks({"age": 60, "allergies": {"shellfish": "severe"}}, orderable="ct_chest_with_contrast") == ()


def test_a_contrast_reaction_on_the_problem_list_counts_as_one_of_unsaid_severity() -> None:
    found = checks({"age": 60, "conditions": {"contrast_reaction": None}}, orderable="ct_chest_with_contrast")
    assert [(check.rule_id, check.severity) for check in found] == [("contrast_reaction_other", "warning")]


def test_an_order_of_the_same_examination_is_a_duplicate_but_not_the_draft_itself() -> None:
    earlier = {"orderable": "ct_head_without_contrast", "days_ago": 0.2, "status": "ordered"}
    who = {"age": 60, "imaging": [earlier]}
    (check,) = checks(who, orderable="ct_head_without_contrast")
    assert check.rule_id == "duplicate_within_24_hours"
    assert check.evidence[-1].reference == "ServiceRequest/ct_head_without_contrast-1"
    assert checks(who, orderable="ct_head_without_contrast", id="ServiceRequest/ct_head_without_contrast-1") == ()


def test_a_reason_by_code_counts_like_a_reason_in_words() -> None:
    who = {"age": 40, "conditions": {}, "medications": []}
    for codes in (("M54.5",), ("http://hl7.org/fhir/sid/icd-10-cm|M54.50",)):
        (check,) = checks(who, orderable="mr_lumbar_spine_without_contrast", codes=codes)
        assert check.rule_id == "low_back_pain_imaging"


def test_a_red_flag_in_the_reason_silences_the_hint() -> None:
    who = {"age": 40, "conditions": {}, "medications": []}
    for reason in ("low back pain, known cancer", "back pain with leg weakness", "low back pain for 8 weeks"):
        assert checks(who, orderable="mr_lumbar_spine_without_contrast", reason=reason) == ()


def test_pregnancy_that_ended_long_ago_raises_no_alert() -> None:
    for days, fires in ((300, True), (301, False)):
        found = checks({"age": 30, "conditions": {"pregnant": days}}, orderable="ct_abdomen_pelvis_with_contrast")
        assert ("pregnancy_radiation_near_uterus" in {check.rule_id for check in found}) is fires


def test_a_ct_without_contrast_gets_no_contrast_check() -> None:
    who = {"age": 60, "allergies": {"iodinated_contrast": "severe"}, "observations": {"egfr": 20}, "conditions": {}}
    assert checks(who, orderable="ct_chest_without_contrast") == ()


def test_a_draft_that_says_with_contrast_is_believed_over_the_table() -> None:
    found = checks({"age": 60, "allergies": {"iodinated_contrast": "mild"}}, orderable="ct_chest", contrast="with")
    assert [check.rule_id for check in found] == ["contrast_reaction_other"]


def test_pregnancy_is_not_asked_about_in_men_and_outside_the_fertile_years() -> None:
    for who, asked in (
        ({"age": 30, "sex": "female"}, True),
        ({"age": 30, "sex": "unknown"}, True),
        ({"age": 30}, True),
        ({"age": 30, "sex": "male"}, False),
        ({"age": 56, "sex": "female"}, False),
    ):
        assessment = build.assessed(build.patient(**who), orders=(build.draft(orderable="xr_hip"),))
        statuses = {status.rule_id for status in assessment.rules}
        assert ("pregnancy_radiation_near_uterus" in statuses) is asked


def test_a_check_that_rests_on_absence_says_so_and_without_an_answer_it_is_not_evaluable() -> None:
    order = build.draft(orderable="ct_chest_with_contrast", modality="CT", contrast="with")
    kidneys = {"age": 60, "observations": {"egfr": 22}}
    asked = build.assessed(build.patient(**kidneys, kinds=["Condition"]), orders=(order,))
    check = next(check for check in asked.order_checks if check.rule_id == "contrast_egfr_below_30")
    assert "no dialysis recorded" in [item.detail for item in check.evidence]
    silent = build.assessed(build.patient(**kidneys), orders=(order,))
    assert next(s for s in silent.rules if s.rule_id == "contrast_egfr_below_30").missing == (
        "condition_recorded_dialysis",
    )
