"""The orders table: codes in, orderables out, and nothing guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.errors import ConfigurationError
from cds.fhir import RequestFrame
from cds.site.configuration import Configs
from cds.site.orders import COLUMNS, OrderTable
from fusion.orderables import ORDERABLE_KEYS

LOINC = "http://loinc.org"
HEAD = ",".join(COLUMNS)
TABLE = f"""{HEAD}
{LOINC},24628-0,ct_chest_with_contrast,CT,chest,with,,CT chest with contrast,1
{LOINC},30598-7,ct_chest_with_contrast,,,,,,0
,,vq_scan,NM,chest,,,Ventilation-perfusion scan,0
"""
FRAME = RequestFrame("p1", "order", datetime(2026, 3, 1, 10, tzinfo=UTC), "e1", "Practitioner/a")


@pytest.fixture
def table() -> OrderTable:
    return OrderTable.from_csv(TABLE)


@pytest.fixture(scope="module")
def packaged() -> OrderTable:
    return OrderTable.from_csv(Configs().packaged_text("orders.csv"))


def draft(*codings: tuple[str | None, str], **fields: Any) -> dict[str, Any]:
    coding = [{"code": code, **({"system": system} if system else {})} for system, code in codings]
    return {"resourceType": "ServiceRequest", "id": "a", "code": {"coding": coding}, **fields}


def test_every_key_that_rules_may_name_is_in_the_packaged_table(packaged: OrderTable) -> None:
    assert set(packaged.orderables) >= ORDERABLE_KEYS


def test_the_packaged_table_describes_each_orderable_once_and_completely(packaged: OrderTable) -> None:
    for orderable in packaged.orderables.values():
        assert orderable.display
        assert orderable.modality
    displays = [orderable.display for orderable in packaged.orderables.values()]
    assert len(set(displays)) == len(displays)


def test_any_known_code_of_a_draft_maps_it(table: OrderTable) -> None:
    (order,), unmapped = table.read_drafts([draft(("urn:local", "X9"), (LOINC, "30598-7"))])
    assert (order.orderable, order.modality, order.region, order.contrast) == (
        "ct_chest_with_contrast",
        "CT",
        "chest",
        "with",
    )
    assert unmapped == []


def test_a_code_without_its_system_maps_nothing(table: OrderTable) -> None:
    (order,), unmapped = table.read_drafts([draft((None, "24628-0"))])
    assert order.orderable is None
    assert unmapped == ["ServiceRequest/a"]


def test_what_is_no_order_for_an_examination_is_passed_over(table: OrderTable) -> None:
    others = [
        {"resourceType": "MedicationRequest", "id": "m"},
        draft((LOINC, "24628-0"), doNotPerform=True),
        "text",
        None,
    ]
    assert table.read_drafts(others) == ([], [])


def test_only_selected_drafts_count_as_selected(table: OrderTable) -> None:
    drafts = [draft((LOINC, "24628-0"), id="a"), draft((LOINC, "24628-0"), id="b")]
    orders, _ = table.read_drafts(drafts, ["ServiceRequest/b"])
    assert [(order.id, order.selected) for order in orders] == [("ServiceRequest/a", False), ("ServiceRequest/b", True)]


def test_reason_and_side_come_with_the_draft(table: OrderTable) -> None:
    reason = {"text": "persistent cough", "coding": [{"system": "http://snomed.info/sct", "code": "49727002"}]}
    site = {"coding": [{"system": "http://snomed.info/sct", "code": "24028007"}]}
    (order,), _ = table.read_drafts([draft((LOINC, "24628-0"), reasonCode=[reason], bodySite=[site])])
    assert (order.reason_text, order.reason_codes, order.laterality) == ("persistent cough", ("49727002",), "right")


def test_two_sides_are_no_side(table: OrderTable) -> None:
    (order,), _ = table.read_drafts([draft((LOINC, "24628-0"), bodySite=[{"text": "left"}, {"text": "right"}])])
    assert order.laterality is None


def test_a_suggestion_is_a_complete_draft_in_the_codes_to_suggest(table: OrderTable) -> None:
    request = table.service_request(
        "ct_chest_with_contrast",
        FRAME,
        priority="urgent",
        due_from=date(2026, 3, 2),
        due_to=date(2026, 3, 9),
        reason={"text": "nodule"},
        reason_references=("Observation/1", "ImagingStudy/2"),
    )
    assert request == {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "priority": "urgent",
        "code": {
            "coding": [{"system": LOINC, "code": "24628-0", "display": "CT chest with contrast"}],
            "text": "CT chest with contrast",
        },
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
        "occurrencePeriod": {"start": "2026-03-02", "end": "2026-03-09"},
        "authoredOn": "2026-03-01T10:00:00+00:00",
        "requester": {"reference": "Practitioner/a"},
        "reasonCode": [{"text": "nodule"}],
        "reasonReference": [{"reference": "Observation/1"}],
    }


def test_suggested_requests_are_valid_r4(packaged: OrderTable) -> None:
    from fhir.resources.R4B.servicerequest import ServiceRequest

    for key in packaged.orderables:
        request = packaged.service_request(key, FRAME, due_to=date(2026, 3, 9), note="n")
        if request is not None:
            assert ServiceRequest.model_validate(request).status == "draft"


def test_an_orderable_without_a_code_has_no_request(table: OrderTable) -> None:
    assert table.service_request("vq_scan", FRAME) is None


def test_a_sites_own_codes_come_first_and_its_rows_win() -> None:
    site = f"""{HEAD}
urn:local,CTC,ct_chest_with_contrast,,,,,CT thorax with contrast,1
{LOINC},30598-7,vq_scan,,,,,,0
urn:local,VQ,vq_scan,,,,,,1
"""
    table = OrderTable.from_csv(TABLE, site)
    concept = table.concept("ct_chest_with_contrast")
    assert concept is not None
    assert concept["text"] == "CT thorax with contrast"
    assert [(c["system"], c["code"]) for c in concept["coding"]] == [("urn:local", "CTC"), (LOINC, "24628-0")]
    (order,), _ = table.read_drafts([draft((LOINC, "30598-7"))])
    assert order.orderable == "vq_scan"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("system,code\na,b\n", "column 'orderable' is missing"),
        (f"{HEAD}\nurn:x,1,,CT,,,,A,1\n", "line 2: column 'orderable' is empty"),
        (f"{HEAD}\n,1,a,CT,,,,A,1\n", "line 2: a code needs a system"),
        (f"{HEAD}\nurn:x,1,a,CT,,yes,,A,1\n", "line 2: column 'contrast'"),
        (f"{HEAD}\nurn:x,1,a,CT,,,both,A,1\n", "line 2: column 'laterality'"),
        (f"{HEAD}\nurn:x,1,a,CT,,,,A,yes\n", "line 2: column 'suggest'"),
        (f"{HEAD}\nurn:x,1,a,CT,,,,A,1\nurn:x,1,b,CT,,,,B,1\n", "line 3: the code stands in line 2 too"),
        (f"{HEAD}\nurn:x,1,a,,,,,,1\n", "orderable 'a' has no row with modality and display"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        OrderTable.from_csv(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "coding", "text", "system", "display", "id"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "code", "reasonCode", "bodySite", "doNotPerform"]), JSON))
def test_drafts_of_any_shape_are_read_or_counted_never_an_error(fields: dict[str, Any]) -> None:
    resource = {**fields, "resourceType": "ServiceRequest"}
    orders, unmapped = OrderTable.from_csv(TABLE).read_drafts([resource])
    assert len(orders) == (0 if fields.get("doNotPerform") is True else 1)
    assert len(unmapped) == sum(order.orderable is None for order in orders)
