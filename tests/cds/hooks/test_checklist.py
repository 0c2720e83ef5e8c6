"""The 43 items of the CDS Hooks conformance checklist, one test each, by number."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cds.api import create_app
from cds.service import Service
from cds.store.tables import FeedbackRow
from tests.cds.hooks.builders import (
    Json,
    bundle,
    call,
    context,
    ct_recommended,
    kidney_failure,
    observation,
    order,
    patient,
    plant_film,
    plant_report,
    risky_order_call,
)
from tests.cds.hooks.ehr import Ehr
from tests.cds.hooks.fake_fhir import FakeFhir, Reply

ADVISOR, RISK, TRACKER = "imaging-order-advisor", "chest-imaging-risk", "follow-up-tracker"
Post = Callable[..., Response]


@pytest.fixture
def services(client: TestClient) -> list[Json]:
    return list(client.get("/cds-services").json()["services"])


@pytest.fixture
def card(post: Post) -> Json:
    """A warning with suggestions, from a signed order."""
    cards = post(ADVISOR, risky_order_call()).json()["cards"]
    assert len(cards) == 1
    return dict(cards[0])


def everything_in(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(deeper for item in inner for deeper in everything_in(item))]


def paths_of(response: Response) -> set[str]:
    assert response.json()["resourceType"] == "OperationOutcome"
    return {path for issue in response.json()["issue"] for path in issue.get("expression", ())}


def feedback(card_id: str, outcome: str = "overridden", **fields: Any) -> Json:
    accepted = {"acceptedSuggestions": [{"id": str(uuid.uuid4())}]} if outcome == "accepted" else {}
    item = {"card": card_id, "outcome": outcome, "outcomeTimestamp": "2026-03-01T10:00:00Z", **accepted, **fields}
    return {"feedback": [{name: value for name, value in item.items() if value is not None}]}


def test_item_01_discovery_answers_200_with_a_list_of_services(client: TestClient) -> None:
    response = client.get("/cds-services")
    assert response.status_code == 200
    assert isinstance(response.json()["services"], list)


def test_item_01_discovery_is_an_empty_list_when_a_site_takes_every_service_out(
    make_service: Any, tmp_path: Any
) -> None:
    (tmp_path / "site").mkdir()
    entries = "".join(f"\n  - {{id: {name}, enabled: false}}" for name in (ADVISOR, RISK, TRACKER))
    (tmp_path / "site" / "services.yaml").write_text(f"services:{entries}\n")
    client = TestClient(create_app(make_service(config_dir=tmp_path / "site")))
    assert client.get("/cds-services").json() == {"services": []}


def test_item_02_each_service_has_hook_id_and_description_and_also_title_and_version(services: list[Json]) -> None:
    for service in services:
        assert all(isinstance(service[name], str) for name in ("hook", "id", "description", "title", "version"))


def test_item_03_one_id_stands_on_two_hooks_and_answers_on_both(services: list[Json], post: Post) -> None:
    hooks = {service["hook"] for service in services if service["id"] == RISK}
    assert hooks == {"patient-view", "order-sign"}
    assert all(post(RISK, call(hook)).status_code == 200 for hook in hooks)


def test_item_04_answers_are_json_and_suggestions_hold_fhir_json(client: TestClient, post: Post, card: Json) -> None:
    assert client.get("/cds-services").headers["content-type"] == "application/json"
    assert post(RISK, call()).headers["content-type"] == "application/json"
    assert card["suggestions"][0]["actions"][0]["resource"]["resourceType"] == "ServiceRequest"


def test_item_05_nothing_null_or_empty_is_sent_except_cards(client: TestClient, post: Post) -> None:
    answers = [client.get("/cds-services").json(), post(ADVISOR, risky_order_call()).json()]
    for value in (deeper for answer in answers for deeper in everything_in(answer)):
        assert value is not None
        assert value not in ("", [], {})
    assert post(RISK, call()).json()["cards"] == []


@pytest.mark.parametrize("missing", ["hook", "hookInstance", "context"])
def test_item_06_a_request_without_a_required_field_is_refused_by_name(post: Post, missing: str) -> None:
    request = call()
    del request[missing]
    response = post(RISK, request)
    assert response.status_code == 400
    assert paths_of(response) == {missing}


def test_item_06_hook_instance_is_a_uuid(post: Post) -> None:
    assert paths_of(post(RISK, call(hookInstance="one"))) == {"hookInstance"}


AUTHORIZATION = {
    "access_token": "very-secret-token",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "patient/*.read",
    "subject": "cds",
}


def test_item_07_authorization_without_a_server_is_refused(post: Post) -> None:
    assert post(RISK, call(fhirAuthorization=AUTHORIZATION)).status_code == 400
    assert post(RISK, call(fhirAuthorization=AUTHORIZATION, fhirServer="https://ehr.example/r4")).status_code == 200


def test_item_07_a_plain_http_server_beyond_loopback_never_gets_the_token(make_service: Any) -> None:
    client = TestClient(create_app(make_service(fhir_hosts=("192.0.2.7",), fhir_private_addresses=True)))
    request = call(fhirAuthorization=AUTHORIZATION, fhirServer="http://192.0.2.7/r4", prefetch={"patient": None})
    response = client.post(f"/cds-services/{RISK}", json=request)
    assert response.status_code == 412
    assert "https_required" in response.text


@pytest.mark.parametrize("field", sorted(AUTHORIZATION))
def test_item_08_authorization_needs_each_of_its_fields(post: Post, field: str) -> None:
    given = {name: value for name, value in AUTHORIZATION.items() if name != field}
    response = post(RISK, call(fhirAuthorization=given, fhirServer="https://ehr.example/r4"))
    assert paths_of(response) == {f"fhirAuthorization.{field}"}


def test_item_08_the_token_type_is_bearer(post: Post) -> None:
    given = {**AUTHORIZATION, "token_type": "mac"}
    response = post(RISK, call(fhirAuthorization=given, fhirServer="https://ehr.example/r4"))
    assert paths_of(response) == {"fhirAuthorization.token_type"}


def test_item_09_the_token_is_neither_logged_nor_kept_nor_told(
    fetching_client: TestClient, fhir: FakeFhir, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    fhir.replies["/Patient/p1"] = Reply(patient())
    request = call(fhirAuthorization=AUTHORIZATION, fhirServer=fhir.url)
    request["prefetch"] = {}
    response = fetching_client.post(f"/cds-services/{RISK}", json=request)
    bad = fetching_client.post(f"/cds-services/{RISK}", json={**request, "context": {}})
    captured = capsys.readouterr()
    files = [path for path in service.settings.data_dir.rglob("*") if path.is_file()]
    assert fhir.asked[0][1]["Authorization"] == "Bearer very-secret-token"
    for text in (response.text, bad.text, captured.out, captured.err, *(repr(path.read_bytes()) for path in files)):
        assert "very-secret-token" not in text


def test_item_10_templates_use_only_tokens_that_clients_must_know(services: list[Json]) -> None:
    known = r"context\.\w+|userPractitionerId|userPractitionerRoleId|userPatientId|userRelatedPersonId"
    tokens = {t for s in services for query in s["prefetch"].values() for t in re.findall(r"\{\{(.*?)\}\}", query)}
    assert tokens
    assert all(re.fullmatch(known, token) for token in tokens)


def test_item_11_templates_name_first_level_primitive_context_fields(services: list[Json]) -> None:
    for service in services:
        fields = re.findall(r"\{\{context\.(.*?)\}\}", " ".join(service["prefetch"].values()))
        assert set(fields) <= {"patientId", "encounterId"}
        assert not any("draftOrders" in query for query in service["prefetch"].values())


def test_item_12_templates_keep_to_reads_and_simple_searches(services: list[Json]) -> None:
    parameter = r"(patient|category|status|code|date)(:in)?=[^&,]+|_sort=-?\w+|_count=\d+"
    for query in (query for service in services for query in service["prefetch"].values()):
        kind, is_search, parameters = query.partition("?")
        if is_search:
            assert re.fullmatch("[A-Z][A-Za-z]+", kind)
            assert all(re.fullmatch(parameter, part) for part in parameters.split("&")), query
        else:
            assert re.fullmatch(r"[A-Z][A-Za-z]+/\{\{context\.\w+\}\}", query)


def test_item_13_absent_null_and_an_outcome_are_told_apart(post: Post) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    extension = post(RISK, call(prefetch={"vitals": None, "laboratory": outcome})).json()["extension"]
    missing = {entry["prefetch"]: entry["reason"] for entry in extension["org.roentgen-cds.missing"]}
    dropped = {item["reference"] for item in extension["org.roentgen-cds.dropped"]["items"]}
    assert "vitals" not in missing
    assert missing["conditions"] == "not_supplied"
    assert missing["laboratory"] == "not_supplied"
    assert dropped == {"prefetch.laboratory"}


def test_item_13_an_outcome_inside_a_bundle_is_said(post: Post) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "throttled"}]}
    extension = post(RISK, call(prefetch={"laboratory": bundle(kidney_failure(), outcome)})).json()["extension"]
    assert {"prefetch": "laboratory", "reason": "partly_failed"} in extension["org.roentgen-cds.missing"]


def test_item_14_further_pages_are_followed(fetching_client: TestClient, fhir: FakeFhir) -> None:
    fhir.replies["/page/2"] = Reply(bundle(observation("8867-4", 80, "/min", "o2"), next_page=f"{fhir.url}/page/3"))
    fhir.replies["/page/3"] = Reply(bundle(kidney_failure()))
    first = bundle(observation("2951-2", 140, "mmol/L", "o1"), next_page=f"{fhir.url}/page/2")
    request = call("order-sign", fhirServer=fhir.url, prefetch={"laboratory": first})
    response = fetching_client.post(f"/cds-services/{ADVISOR}", json=request)
    assert {"/page/2", "/page/3"} <= set(fhir.paths)
    assert [c["source"]["topic"]["code"] for c in response.json()["cards"]] == ["kidney_and_contrast"]


def test_item_15_what_is_missing_is_fetched_with_the_token(fetching_client: TestClient, fhir: FakeFhir) -> None:
    fhir.replies["/Patient/p1"] = Reply(patient())
    fhir.replies["/Observation"] = lambda path: Reply(bundle(kidney_failure()) if "laboratory" in path else bundle())
    request = call("order-sign", fhirServer=fhir.url, fhirAuthorization=AUTHORIZATION)
    del request["prefetch"]
    response = fetching_client.post(f"/cds-services/{ADVISOR}", json=request)
    assert [c["source"]["topic"]["code"] for c in response.json()["cards"]] == ["kidney_and_contrast"]
    assert "/Observation?patient=p1&category=laboratory&_sort=-date&_count=100" in fhir.paths
    assert all(headers["Authorization"] == "Bearer very-secret-token" for _, headers in fhir.asked)


def test_item_16_required_data_that_cannot_be_had_is_412(
    post: Post, fetching_client: TestClient, fhir: FakeFhir
) -> None:
    request = call(prefetch={"patient": None})
    assert post(RISK, request).status_code == 412
    assert paths_of(post(RISK, request)) == {"prefetch.patient"}
    fhir.replies["/Patient/p1"] = Reply(status=403)
    response = fetching_client.post(f"/cds-services/{RISK}", json={**request, "fhirServer": fhir.url})
    assert response.status_code == 412
    assert "http_403" in response.text


def test_item_17_fetching_ends_with_its_budget_and_the_answer_says_what_is_missing(
    make_service: Any, fhir: FakeFhir
) -> None:
    fhir.replies["/Condition"] = Reply(bundle(), seconds=30)
    fhir.replies["/Observation"] = Reply(bundle())
    settings = {"fhir_hosts": (fhir.host,), "fhir_private_addresses": True, "fhir_budget_ms": 300}
    client = TestClient(create_app(make_service(**settings)))
    extension = client.post(f"/cds-services/{RISK}", json=call(fhirServer=fhir.url)).json()["extension"]
    missing = {entry["prefetch"]: entry["reason"] for entry in extension["org.roentgen-cds.missing"]}
    assert missing["conditions"] == "timed_out"
    assert "vitals" not in missing


def test_item_18_success_is_200_and_errors_are_outcomes(client: TestClient, post: Post) -> None:
    assert post(RISK, call()).status_code == 200
    assert post("unknown", call()).status_code == 404
    broken = client.post(f"/cds-services/{RISK}", content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    for response in (post("unknown", call()), broken):
        assert response.json()["resourceType"] == "OperationOutcome"
        assert response.json()["issue"][0]["diagnostics"]


def test_item_19_a_summary_has_fewer_than_140_characters(make_service: Any) -> None:
    service = make_service()
    plant_report(service, recommendations=(ct_recommended(5),))
    plant_film(service)
    client = TestClient(create_app(service))
    cards = client.post(f"/cds-services/{RISK}", json=call()).json()["cards"]
    cards += client.post(f"/cds-services/{TRACKER}", json=call()).json()["cards"]
    assert len(cards) == 2
    assert all(0 < len(card["summary"]) < 140 for card in cards)


def test_item_20_indicator_and_source_label(card: Json) -> None:
    assert card["indicator"] == "warning"
    assert card["source"]["label"] == "ACR Manual on Contrast Media 2023"


def test_item_21_detail_is_markdown_and_holds_inputs_date_and_source(card: Json) -> None:
    assert "eGFR 22 mL/min/1.73 m2 on " in card["detail"]
    assert "**Source**" in card["detail"]
    assert not re.search(r"<\w", card["detail"])


def test_item_22_suggestions_come_with_a_selection_behavior(card: Json) -> None:
    assert len(card["suggestions"]) == 2
    assert card["selectionBehavior"] in ("at-most-one", "any")


def test_item_23_at_most_one_suggestion_is_recommended(card: Json) -> None:
    assert card["selectionBehavior"] == "at-most-one"
    assert sum(suggestion.get("isRecommended", False) for suggestion in card["suggestions"]) <= 1


def test_item_24_suggestions_have_labels_and_actions_type_and_description(card: Json) -> None:
    for suggestion in card["suggestions"]:
        assert suggestion["label"]
        assert uuid.UUID(suggestion["uuid"])
        for action in suggestion["actions"]:
            assert action["type"] in ("create", "update", "delete")
            assert action["description"]


def test_item_25_create_carries_the_whole_resource_and_delete_its_id(card: Json) -> None:
    create, delete = card["suggestions"][0]["actions"]
    assert create["resource"]["subject"] == {"reference": "Patient/p1"}
    assert create["resource"]["code"]["coding"] == [
        {"system": "http://loinc.org", "code": "29252-4", "display": "CT chest without contrast"}
    ]
    assert (create["resource"]["status"], create["resource"]["intent"]) == ("draft", "order")
    assert delete == {
        "type": "delete",
        "description": "Remove the drafted order",
        "resourceId": "ServiceRequest/draft-1",
    }


def test_item_26_no_action_selection_behavior_is_sent(post: Post) -> None:
    answers = everything_in(post(ADVISOR, risky_order_call()).json())
    assert not any("actionSelectionBehavior" in value for value in answers if isinstance(value, dict))


def test_item_27_override_reasons_have_code_system_and_display(card: Json) -> None:
    assert len(card["overrideReasons"]) >= 3
    assert all(set(reason) == {"code", "system", "display"} for reason in card["overrideReasons"])


def test_item_28_links_are_absolute_and_labelled(card: Json) -> None:
    (link,) = card["links"]
    assert set(link) == {"label", "url", "type"}
    assert link["type"] == "absolute"
    assert link["url"].startswith("https://cds.example/cases/")


def test_item_29_no_link_is_launched_by_itself(post: Post) -> None:
    answers = everything_in(post(ADVISOR, risky_order_call()).json())
    assert not any("autolaunchable" in value for value in answers if isinstance(value, dict))


def test_item_30_no_system_actions_are_sent(post: Post) -> None:
    assert "systemActions" not in post(ADVISOR, risky_order_call()).json()


def test_item_31_feedback_names_a_card_by_its_uuid(post: Post, card: Json, service: Service) -> None:
    assert post(f"{ADVISOR}/feedback", feedback(card["uuid"])).status_code == 200
    with service.database.reading() as session:
        (row,) = session.query(FeedbackRow).all()
    assert (row.card_uuid, row.service, row.outcome) == (card["uuid"], ADVISOR, "overridden")


@pytest.mark.parametrize("missing", ["card", "outcome", "outcomeTimestamp"])
def test_item_32_feedback_without_a_required_field_is_refused_by_name(post: Post, card: Json, missing: str) -> None:
    response = post(f"{ADVISOR}/feedback", feedback(card["uuid"], **{missing: None}))
    assert response.status_code == 400
    assert paths_of(response) == {f"feedback[0].{missing}"}


@pytest.mark.parametrize("wrong", [{"outcome": "ignored"}, {"outcomeTimestamp": "2026-03-01T10:00:00"}])
def test_item_32_outcome_and_timestamp_are_checked(post: Post, card: Json, wrong: Json) -> None:
    assert post(f"{ADVISOR}/feedback", feedback(card["uuid"], **wrong)).status_code == 400


def test_item_33_accepted_keeps_its_suggestions_and_an_override_its_reason(
    post: Post, card: Json, service: Service
) -> None:
    chosen = card["suggestions"][0]["uuid"]
    reason = {"reason": {"code": "later", "system": "urn:x"}, "userComment": "after lunch"}
    accepted = feedback(card["uuid"], "accepted", acceptedSuggestions=[{"id": chosen}])
    assert post(f"{ADVISOR}/feedback", accepted).status_code == 200
    assert post(f"{ADVISOR}/feedback", feedback(card["uuid"], overrideReason=reason)).status_code == 200
    assert post(f"{ADVISOR}/feedback", feedback(card["uuid"], "accepted", acceptedSuggestions=None)).status_code == 400
    with service.database.reading() as session:
        details = {row.outcome: row.detail for row in session.query(FeedbackRow)}
    assert details["accepted"] == {"accepted_suggestions": [chosen]}
    assert details["overridden"]["reason"]["code"] == "later"
    assert details["overridden"]["user_comment"] == "after lunch"


def test_item_34_repeated_feedback_is_accepted_and_kept_once(post: Post, card: Json, service: Service) -> None:
    sent = feedback(card["uuid"])
    assert [post(f"{ADVISOR}/feedback", sent).status_code for _ in range(3)] == [200, 200, 200]
    assert post(f"{ADVISOR}/feedback", feedback(card["uuid"], "accepted")).status_code == 200
    with service.database.reading() as session:
        assert sorted(row.outcome for row in session.query(FeedbackRow)) == ["accepted", "overridden"]


def test_item_35_every_endpoint_wants_a_token_once_issuers_are_known(signed_client: TestClient, ehr: Ehr) -> None:
    calls: list[tuple[str, str, Json | None]] = [
        ("GET", "/cds-services", None),
        ("POST", f"/cds-services/{RISK}", call()),
        ("POST", f"/cds-services/{RISK}/feedback", feedback(str(uuid.uuid4()))),
    ]
    for method, path, body in calls:
        assert signed_client.request(method, path, json=body).status_code == 401
        assert signed_client.request(method, path, json=body, headers=ehr.signed(path)).status_code == 200


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "jti"])
def test_item_36_a_token_needs_each_of_its_claims(signed_client: TestClient, ehr: Ehr, claim: str) -> None:
    headers = ehr.signed("/cds-services", **{claim: None})
    assert signed_client.get("/cds-services", headers=headers).status_code == 401


@pytest.mark.parametrize("field", ["kid", "typ"])
def test_item_36_a_token_needs_each_of_its_header_fields(signed_client: TestClient, ehr: Ehr, field: str) -> None:
    headers = ehr.signed("/cds-services", header={field: None})
    assert signed_client.get("/cds-services", headers=headers).status_code == 401


def test_item_36_the_audience_is_the_endpoint_called_alone_or_in_a_list(signed_client: TestClient, ehr: Ehr) -> None:
    among = ["https://other.example", "https://cds.example/cds-services"]
    assert signed_client.get("/cds-services", headers=ehr.signed("/cds-services", aud=among)).status_code == 200
    elsewhere = ehr.signed(f"/cds-services/{RISK}")
    assert signed_client.get("/cds-services", headers=elsewhere).status_code == 401


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_item_37_es384_and_rs384_are_accepted(signed_client: TestClient, ehr: Ehr, algorithm: str) -> None:
    headers = ehr.signed("/cds-services", algorithm=algorithm)
    assert signed_client.get("/cds-services", headers=headers).status_code == 200


def test_item_38_unknown_issuers_and_foreign_key_addresses_are_refused(signed_client: TestClient, ehr: Ehr) -> None:
    foreign = ehr.signed("/cds-services", iss="https://stranger.example")
    assert signed_client.get("/cds-services", headers=foreign).status_code == 401
    jku = ehr.signed("/cds-services", header={"jku": "https://stranger.example/jwks"})
    assert signed_client.get("/cds-services", headers=jku).status_code == 401


def test_item_39_a_token_is_good_for_one_call(signed_client: TestClient, ehr: Ehr) -> None:
    headers = ehr.signed("/cds-services")
    assert [signed_client.get("/cds-services", headers=headers).status_code for _ in range(3)] == [200, 401, 401]


def test_item_40_a_bad_token_gets_a_bare_401(signed_client: TestClient) -> None:
    response = signed_client.get("/cds-services", headers={"Authorization": "Bearer a.b.c"})
    assert (response.status_code, response.content) == (401, b"")


def test_item_41_browsers_of_listed_origins_are_let_in_and_no_others(make_service: Any) -> None:
    client = TestClient(create_app(make_service(cors_origins=("https://ehr.example",))))
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    path = f"/cds-services/{RISK}"
    listed = client.options(path, headers={"Origin": "https://ehr.example", **preflight})
    other = client.options(path, headers={"Origin": "https://evil.example", **preflight})
    assert listed.headers["access-control-allow-origin"] == "https://ehr.example"
    assert "access-control-allow-origin" not in other.headers
    answered = client.post(path, json=call(), headers={"Origin": "https://ehr.example"})
    assert answered.headers["access-control-allow-origin"] == "https://ehr.example"


def test_item_42_extensions_are_objects_with_reverse_dns_keys(post: Post) -> None:
    extension = post(RISK, call(extension={"com.example.x": 1})).json()["extension"]
    assert extension
    assert all(re.fullmatch(r"[a-z]+(\.[a-z-]+)+", key) for key in extension)
    assert post(RISK, call(extension="text")).status_code == 400


@pytest.mark.parametrize(
    ("service_id", "hook", "field"),
    [
        (ADVISOR, "order-select", "userId"),
        (ADVISOR, "order-select", "patientId"),
        (ADVISOR, "order-select", "selections"),
        (ADVISOR, "order-select", "draftOrders"),
        (ADVISOR, "order-sign", "draftOrders"),
        (RISK, "patient-view", "patientId"),
        (RISK, "patient-view", "userId"),
        (TRACKER, "encounter-discharge", "encounterId"),
    ],
)
def test_item_43_a_context_needs_the_fields_of_its_hook(post: Post, service_id: str, hook: str, field: str) -> None:
    given = {name: value for name, value in context(hook).items() if name != field}
    response = post(service_id, call(hook, context=given))
    assert response.status_code == 400
    assert paths_of(response) == {f"context.{field}"}


def test_item_43_what_is_optional_may_be_left_out_and_users_are_of_four_types(post: Post) -> None:
    for user in ("Practitioner/a", "PractitionerRole/a", "Patient/p1", "RelatedPerson/a"):
        given = {"userId": user, "patientId": "p1"}
        assert post(RISK, call(context=given)).status_code == 200
    assert post(RISK, call(context={"userId": "Device/a", "patientId": "p1"})).status_code == 400
    drafts = {"resourceType": "Bundle", "entry": [{"resource": order()}]}
    given = {"userId": "Practitioner/a", "patientId": "p1", "draftOrders": drafts}
    assert post(ADVISOR, call("order-sign", context=given)).status_code == 200


def test_the_tests_cover_every_item() -> None:
    covered = {int(name[10:12]) for name in globals() if re.match(r"test_item_\d\d_", name)}
    assert covered == set(range(1, 44))
