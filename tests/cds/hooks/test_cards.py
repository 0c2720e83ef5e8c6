"""Which cards are shown, what they hold, and when they keep quiet."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from fhir.resources.R4B.servicerequest import ServiceRequest
from httpx import Response

from cds.api import create_app
from cds.service import Service
from cds.store.tables import CardRow
from tests.cds.hooks.builders import (
    NOW,
    Json,
    bundle,
    call,
    ct_recommended,
    kidney_failure,
    order,
    patient,
    plant_film,
    plant_report,
    risky_order_call,
)
from vision.result import Rejection

ADVISOR, RISK, TRACKER = "imaging-order-advisor", "chest-imaging-risk", "follow-up-tracker"
Post = Callable[..., Response]


def cards_of(response: Response) -> list[Json]:
    assert response.status_code == 200, response.text
    return list(response.json()["cards"])


def rules_of(response: Response) -> list[str]:
    return [card["source"]["topic"]["code"] for card in cards_of(response)]


def modalities_of(response: Response) -> dict[str, str]:
    return {m["name"]: m["status"] for m in response.json()["extension"]["org.roentgen-cds.modalities"]}


def overrides(card: Json, *, hours_ago: float = 0.0) -> Json:
    when = datetime.now(UTC) - timedelta(hours=hours_ago)
    item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": when.isoformat()}
    return {"feedback": [item]}


def drafts(*orders: Json) -> Json:
    return {"draftOrders": {"resourceType": "Bundle", "entry": [{"resource": o} for o in orders]}}


def client_of(service: Service) -> TestClient:
    return TestClient(create_app(service), raise_server_exceptions=False)


def test_an_order_without_anything_against_it_gets_no_card(post: Post) -> None:
    assert cards_of(post(ADVISOR, call("order-sign"))) == []


def test_only_selected_drafts_are_checked_on_order_select(post: Post) -> None:
    request = risky_order_call("order-select", context_changes={"selections": ["ServiceRequest/another"]})
    assert cards_of(post(ADVISOR, request)) == []
    assert rules_of(post(ADVISOR, risky_order_call("order-select"))) == ["kidney_and_contrast"]


def test_an_alternative_of_the_same_region_replaces_the_draft_and_a_test_is_added_to_it(post: Post) -> None:
    (card,) = cards_of(post(ADVISOR, risky_order_call()))
    kinds = {s["label"]: [action["type"] for action in s["actions"]] for s in card["suggestions"]}
    assert kinds == {"CT chest without contrast": ["create", "delete"], "Repeat creatinine": ["create"]}


def test_what_the_site_cannot_order_is_said_in_words(post: Post) -> None:
    (card,) = cards_of(post(ADVISOR, risky_order_call()))
    assert "A test that has no code" in card["detail"]
    assert all(suggestion["label"] != "A test that has no code" for suggestion in card["suggestions"])


def test_the_reason_of_the_draft_goes_with_its_alternative(post: Post) -> None:
    draft = order(reasonCode=[{"text": "lung mass on film"}])
    (card,) = cards_of(post(ADVISOR, risky_order_call(context_changes=drafts(draft))))
    request = card["suggestions"][0]["actions"][0]["resource"]
    assert request["reasonCode"] == [{"text": "lung mass on film"}]
    assert request["reasonReference"] == [{"reference": "Observation/egfr"}]


def test_a_repeat_may_be_removed(post: Post) -> None:
    earlier = order(identifier="earlier", status="active", authoredOn=(NOW - timedelta(hours=3)).isoformat())
    (card,) = cards_of(post(ADVISOR, call("order-sign", prefetch={"orders": bundle(earlier)})))
    (suggestion,) = card["suggestions"]
    assert suggestion["actions"][0]["resourceId"] == "ServiceRequest/draft-1"
    assert suggestion["isRecommended"] is True


def test_unmapped_orders_are_counted_and_named(post: Post) -> None:
    request = call("order-sign", context_changes=drafts(order(), order("LOCAL-7", "draft-2", "urn:hospital")))
    extension = post(ADVISOR, request).json()["extension"]
    assert extension["org.roentgen-cds.unmapped-orders"] == {"count": 1, "items": ["ServiceRequest/draft-2"]}


def test_two_drafts_of_one_examination_get_one_card(post: Post) -> None:
    request = risky_order_call(context_changes=drafts(order(), order(identifier="draft-2")))
    assert rules_of(post(ADVISOR, request)) == ["kidney_and_contrast"]


def test_every_suggested_order_is_valid_r4(service: Service) -> None:
    plant_report(service, recommendations=(ct_recommended(5),))
    client = client_of(service)
    answers = [(ADVISOR, risky_order_call()), (TRACKER, call()), (TRACKER, call("encounter-discharge"))]
    requests = [
        action["resource"]
        for service_id, request in answers
        for card in cards_of(client.post(f"/cds-services/{service_id}", json=request))
        for suggestion in card["suggestions"]
        for action in suggestion["actions"]
        if action["type"] == "create"
    ]
    assert len(requests) >= 4
    for request in requests:
        assert ServiceRequest.model_validate(request).subject.reference == "Patient/p1"


def test_an_overridden_card_keeps_quiet_for_the_set_time(post: Post, make_service: Any) -> None:
    (card,) = cards_of(post(ADVISOR, risky_order_call()))
    assert post(f"{ADVISOR}/feedback", overrides(card)).status_code == 200
    again = post(ADVISOR, risky_order_call())
    assert cards_of(again) == []
    assert again.json()["extension"]["org.roentgen-cds.withheld"] == {"quiet": 1}
    impatient = client_of(make_service(override_quiet_hours=0))
    assert rules_of(impatient.post(f"/cds-services/{ADVISOR}", json=risky_order_call())) == ["kidney_and_contrast"]


def test_an_override_of_long_ago_silences_nothing(post: Post) -> None:
    (card,) = cards_of(post(ADVISOR, risky_order_call()))
    post(f"{ADVISOR}/feedback", overrides(card, hours_ago=25))
    assert rules_of(post(ADVISOR, risky_order_call())) == ["kidney_and_contrast"]


def test_an_override_for_one_patient_silences_nothing_for_another(post: Post) -> None:
    (card,) = cards_of(post(ADVISOR, risky_order_call()))
    post(f"{ADVISOR}/feedback", overrides(card))
    other = patient("p2", identifier=[{"system": "urn:oid:2.25.153203873041862379241874", "value": "MRN-2"}])
    lab = kidney_failure() | {"subject": {"reference": "Patient/p2"}}
    request = call("order-sign", prefetch={"patient": other, "laboratory": bundle(lab)})
    request["context"]["patientId"] = "p2"
    assert rules_of(post(ADVISOR, request)) == ["kidney_and_contrast"]


def test_the_overview_puts_the_report_before_the_film_and_quotes_it(service: Service) -> None:
    plant_report(service)
    plant_film(service)
    (card,) = cards_of(client_of(service).post(f"/cds-services/{RISK}", json=call()))
    assert card["summary"].startswith("Report (final): lung nodule; film only: lung mass")
    assert "“There is a 9 mm nodule in the right upper lobe.”" in card["detail"]
    assert card["detail"].index("**Report, final") < card["detail"].index("**Film")
    assert "score 0.83 (not a probability at this site)" in card["detail"]


def test_a_preliminary_report_is_called_one(service: Service) -> None:
    plant_report(service, status="preliminary")
    (card,) = cards_of(client_of(service).post(f"/cds-services/{RISK}", json=call()))
    assert card["summary"].startswith("Report (preliminary): lung nodule")


def test_a_chart_without_film_report_or_risk_gets_no_card_but_says_so(post: Post) -> None:
    response = post(RISK, call())
    assert cards_of(response) == []
    assert modalities_of(response)["imaging"] == "missing"
    assert modalities_of(response)["report"] == "missing"


def test_the_overview_is_not_repeated_when_an_order_is_signed_in_the_same_encounter(service: Service) -> None:
    plant_report(service)
    client = client_of(service)
    assert len(cards_of(client.post(f"/cds-services/{RISK}", json=call()))) == 1
    assert len(cards_of(client.post(f"/cds-services/{RISK}", json=call()))) == 1
    assert cards_of(client.post(f"/cds-services/{RISK}", json=call("order-sign"))) == []
    elsewhere = call("order-sign", context_changes={"encounterId": "e2"})
    assert len(cards_of(client.post(f"/cds-services/{RISK}", json=elsewhere))) == 1


def test_the_overview_is_for_chest_orders_only(service: Service) -> None:
    plant_report(service)
    request = call("order-sign", context_changes=drafts(order("30799-1")))
    assert cards_of(client_of(service).post(f"/cds-services/{RISK}", json=request)) == []


def test_a_film_of_unresolved_identity_is_not_used_and_said_once_an_encounter(service: Service) -> None:
    plant_film(service)
    client = client_of(service)
    request = call(prefetch={"patient": patient(birthDate="1950-01-01")})
    first = client.post(f"/cds-services/{RISK}", json=request)
    second = client.post(f"/cds-services/{RISK}", json=request)
    assert rules_of(first) == ["identity_unresolved"]
    assert "lung" not in cards_of(first)[0]["detail"].lower()
    assert modalities_of(first)["imaging"] == modalities_of(second)["imaging"] == "identity_unresolved"
    assert cards_of(second) == []
    assert len(cards_of(client.post(f"/cds-services/{RISK}", json=call()))) == 1


def test_a_refused_film_gives_no_number_and_its_reason_is_said(service: Service) -> None:
    plant_film(service, findings=(), rejection=Rejection(code="not_chest", reason="not a chest film"))
    response = client_of(service).post(f"/cds-services/{RISK}", json=call())
    assert cards_of(response) == []
    assert modalities_of(response)["imaging"] == "rejected"


def test_follow_ups_become_proposals_with_their_dates_and_the_finding_as_reason(service: Service) -> None:
    plant_report(service)
    (card,) = cards_of(client_of(service).post(f"/cds-services/{TRACKER}", json=call()))
    request = card["suggestions"][0]["actions"][0]["resource"]
    assert (request["intent"], request["status"]) == ("proposal", "draft")
    assert set(request["occurrencePeriod"]) == {"start", "end"}
    assert request["reasonCode"][0]["coding"][0] == {
        "system": "http://snomed.info/sct",
        "code": "786838002",
        "display": "Lung nodule",
    }


def test_a_follow_up_that_is_ordered_already_gets_no_card(service: Service) -> None:
    plant_report(service)
    ordered = order("29252-4", "o1", status="active", authoredOn=NOW.isoformat())
    request = call(prefetch={"orders": bundle(ordered)})
    assert cards_of(client_of(service).post(f"/cds-services/{TRACKER}", json=request)) == []


def test_discharge_lists_what_is_due_later_too(service: Service) -> None:
    plant_report(service, findings=(), recommendations=(ct_recommended(200),))
    client = client_of(service)
    assert len(cards_of(client.post(f"/cds-services/{TRACKER}", json=call("encounter-discharge")))) == 1


def site_with(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "services.yaml").write_text(f"services:\n{text}\n")
    return folder


def test_a_silent_service_keeps_what_it_would_have_said_and_shows_nothing(make_service: Any, tmp_path: Path) -> None:
    service = make_service(config_dir=site_with(tmp_path, f"  - {{id: {ADVISOR}, silent: true}}"))
    assert cards_of(client_of(service).post(f"/cds-services/{ADVISOR}", json=risky_order_call())) == []
    with service.database.reading() as session:
        (row,) = session.query(CardRow).all()
    assert (row.rule_id, row.rule_version, row.silent) == ("kidney_and_contrast", "1", True)


def test_a_site_sets_how_grave_and_how_many_cards_may_be(make_service: Any, tmp_path: Path) -> None:
    folder = site_with(
        tmp_path, f"  - {{id: {ADVISOR}, max_cards: 1}}\n  - {{id: {RISK}, minimum_indicator: critical}}"
    )
    service = make_service(config_dir=folder)
    plant_report(service)
    client = client_of(service)
    earlier = order(identifier="earlier", status="active", authoredOn=(NOW - timedelta(hours=3)).isoformat())
    prefetch = {"laboratory": bundle(kidney_failure()), "orders": bundle(earlier)}
    capped = client.post(f"/cds-services/{ADVISOR}", json=call("order-sign", prefetch=prefetch))
    assert rules_of(capped) == ["kidney_and_contrast"]
    assert capped.json()["extension"]["org.roentgen-cds.withheld"] == {"cap": 1}
    assert cards_of(client.post(f"/cds-services/{RISK}", json=call())) == []


def test_cards_are_kept_with_rule_and_version_before_they_leave(service: Service, post: Post) -> None:
    (card,) = cards_of(post(ADVISOR, risky_order_call()))
    with service.database.reading() as session:
        row = session.get(CardRow, card["uuid"])
    assert row is not None
    assert (row.service, row.hook, row.encounter, row.rule_id) == (ADVISOR, "order-sign", "e1", "kidney_and_contrast")


def test_feedback_of_an_unknown_card_is_kept(post: Post) -> None:
    assert post(f"{ADVISOR}/feedback", overrides({"uuid": str(uuid.uuid4())})).status_code == 200


def test_feedback_of_an_unknown_service_is_404(post: Post) -> None:
    assert post("unknown/feedback", overrides({"uuid": str(uuid.uuid4())})).status_code == 404


@pytest.mark.parametrize(
    "text", ["  - {id: nobody}", f"  - {{id: {RISK}, max_cards: many}}", f"  - {{id: {RISK}, x: 1}}"]
)
def test_a_wrong_services_file_is_refused_by_name(make_service: Any, tmp_path: Path, text: str) -> None:
    from cds.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=r"services\.yaml"):
        create_app(make_service(config_dir=site_with(tmp_path, text)))
