"""What became of cards is counted per rule, service and role, makes proposals, and silences only by a person's act."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cds.api import create_app
from cds.cli.app import app
from cds.oversight.feedback_report import FEWEST_ANSWERS, feedback_report, rate
from cds.oversight.promotion import promote
from cds.oversight.silent_report import silent_report
from cds.service import Service
from cds.store.cards import Feedback, ShownCard, add_cards, add_feedback
from cds.store.tables import CardRow, FollowUpRow
from cds.store.verdicts import add_verdict, verdicts_of_film
from tests.cds.hooks.builders import NOW, Json, bundle, call, kidney_failure, plant_film, plant_report, risky_order_call
from tests.cds.hooks.conftest import MakeService, Post
from vision.result import Finding, ModelRef

ADVISOR = "imaging-order-advisor"


def _site(tmp_path: Path, **settings: Any) -> Path:
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    (folder / "services.yaml").write_text(yaml.safe_dump({"services": [{"id": ADVISOR, **settings}]}))
    return folder


def _card(
    service: Service, *, outcome: str | None = None, rule: str = "r", silent: bool = False, **changes: Any
) -> str:
    card = ShownCard(
        **{
            "uuid": str(uuid.uuid4()),
            "service": ADVISOR,
            "hook": "order-sign",
            "hook_instance": "h",
            "subject": str(uuid.uuid4()),
            "encounter": None,
            "key": "k",
            "rule_id": rule,
            "rule_version": "1",
            "models": {"deterioration": "1.0.0"},
            "indicator": "warning",
            "silent": silent,
            "role": "Practitioner",
            **changes,
        }
    )
    with service.database.writing() as session:
        add_cards(session, [card], at=NOW)
        if outcome is not None:
            detail: Json = {"reason": {"code": "disagree"}} if outcome == "overridden" else {}
            add_feedback(session, ADVISOR, [Feedback(card.uuid, outcome, NOW, detail)], at=NOW)  # type: ignore[arg-type]
    return card.uuid


def test_an_interval_is_that_of_wilson() -> None:
    assert rate(8, 10) == rate(8, 10)
    found = rate(8, 10)
    assert (found.value, found.low, found.high) == (0.8, 0.4902, 0.9433)
    assert rate(0, 0).value is None


def test_rates_are_of_answers_per_rule_version_service_role_and_models(service: Service) -> None:
    for outcome in ("accepted", "overridden", "overridden", None):
        _card(service, outcome=outcome)
    _card(service, outcome="accepted", rule_version="2", role="nurse")
    _card(service, silent=True)
    with service.database.reading() as session:
        first, second = feedback_report(session).answers
    assert (first.rule_version, first.role, first.models) == ("1", "Practitioner", {"deterioration": "1.0.0"})
    assert (first.shown, first.silent) == (4, 1)
    assert (first.accepted.cases, first.overridden.cases, first.overridden.of) == (1, 2, 3)
    assert first.reasons == {"disagree": 2}
    assert (second.rule_version, second.role, second.accepted.value) == ("2", "nurse", 1.0)


def test_the_last_word_on_a_card_counts_and_words_on_unknown_cards_are_said_to_be_there(service: Service) -> None:
    card = _card(service, outcome="overridden")
    later = Feedback(card, "accepted", NOW + timedelta(minutes=1), {})
    with service.database.writing() as session:
        add_feedback(session, ADVISOR, [later, Feedback(str(uuid.uuid4()), "accepted", NOW, {})], at=NOW)
        found = feedback_report(session)
    assert (found.answers[0].accepted.cases, found.answers[0].overridden.cases) == (1, 0)
    assert found.unknown_cards == 1


@pytest.mark.parametrize(
    ("overridden", "accepted", "proposal"),
    [(60, 0, "silence"), (40, 10, "retune"), (10, 40, "keep"), (FEWEST_ANSWERS - 1, 0, "too_few")],
)
def test_proposals_need_answers_enough_and_the_lower_bound(
    service: Service, overridden: int, accepted: int, proposal: str
) -> None:
    for outcome in ["overridden"] * overridden + ["accepted"] * accepted:
        _card(service, outcome=outcome)
    with service.database.reading() as session:
        (found,) = feedback_report(session).proposals
    assert found.proposal == proposal, found.why


def test_a_person_silences_a_rule_and_what_it_would_have_said_is_kept(
    make_service: MakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path)
    service = make_service(config_dir=site)
    client = TestClient(create_app(service))
    shown = client.post(f"/cds-services/{ADVISOR}", json=risky_order_call()).json()["cards"]
    assert [card["source"]["topic"]["code"] for card in shown] == ["kidney_and_contrast"]
    monkeypatch.setenv("CDS_DATA_DIR", str(service.settings.data_dir))
    monkeypatch.setenv("CDS_CONFIG_DIR", str(site))
    run = CliRunner()
    command = ["feedback", "silence", "kidney_and_contrast", "--by", "Dr. Tester", "--reason", "always overridden"]
    assert run.invoke(app, [*command, "--version", "9"]).exit_code == 2
    done = run.invoke(app, [*command, "--version", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["evidence"]["shown"] == 1
    assert "always overridden" in (service.settings.data_dir / "acts.jsonl").read_text()
    after = TestClient(create_app(make_service(config_dir=site))).post(
        f"/cds-services/{ADVISOR}", json=risky_order_call()
    )
    assert after.json()["cards"] == []
    assert after.json()["extension"]["org.roentgen-cds.withheld"] == {"silenced": 1}
    with service.database.reading() as session:
        assert sorted(row.silent for row in session.query(CardRow)) == [False, True]


def test_a_new_version_of_a_silenced_rule_speaks_again(make_service: MakeService, tmp_path: Path) -> None:
    site = _site(tmp_path)
    entry = {"id": "kidney_and_contrast", "rule_version": "0", "by": "x", "reason": "y", "at": NOW.isoformat()}
    (site / "silenced.yaml").write_text(yaml.safe_dump({"silenced": [entry]}))
    client = TestClient(create_app(make_service(config_dir=site)))
    assert client.post(f"/cds-services/{ADVISOR}", json=risky_order_call()).json()["cards"]


def _cards_for(client: TestClient, user: str, **prefetch: Any) -> int:
    request = call(
        "order-sign",
        prefetch={"laboratory": bundle(kidney_failure()), **prefetch},
        context_changes={"userId": user},
    )
    answer = client.post(f"/cds-services/{ADVISOR}", json=request)
    assert answer.status_code == 200, answer.text
    return len(answer.json()["cards"])


def test_a_role_has_thresholds_of_its_own(make_service: MakeService, tmp_path: Path) -> None:
    roles = [
        {"id": "clerk", "users": ["clerk-code"], "max_cards": 0},
        {"id": "patient", "users": ["Patient"], "minimum_indicator": "critical"},
    ]
    service = make_service(config_dir=_site(tmp_path, roles=roles))
    client = TestClient(create_app(service))
    template = client.get("/cds-services").json()["services"][0]["prefetch"]["roles"]
    assert template == "PractitionerRole?practitioner={{userPractitionerId}}&_count=10"
    clerk = {
        "resourceType": "PractitionerRole",
        "id": "role",
        "practitioner": {"reference": "Practitioner/c"},
        "code": [{"coding": [{"code": "clerk-code"}]}],
    }
    assert _cards_for(client, "Practitioner/doctor", roles=bundle()) == 1
    assert _cards_for(client, "Practitioner/c", roles=bundle(clerk)) == 0
    assert _cards_for(client, "Practitioner/other", roles=bundle(clerk)) == 1
    assert _cards_for(client, "PractitionerRole/role", extra=clerk) == 0
    assert _cards_for(client, "Patient/p1") == 0
    with service.database.reading() as session:
        assert {row.role for row in session.query(CardRow)} == {"Practitioner"}


def test_without_codes_of_roles_nothing_is_asked_of_the_user(client: TestClient) -> None:
    assert "roles" not in client.get("/cds-services").json()["services"][0]["prefetch"]


def _silent_service(make_service: MakeService, tmp_path: Path) -> Service:
    return make_service(config_dir=_site(tmp_path, silent=True))


def test_the_silent_report_sets_what_would_have_fired_against_what_was_recorded(
    make_service: MakeService, tmp_path: Path
) -> None:
    service = _silent_service(make_service, tmp_path)
    client = TestClient(create_app(service))
    film = plant_film(service)
    plant_report(service)
    for _ in range(2):
        assert client.post(f"/cds-services/{ADVISOR}", json=risky_order_call()).json()["cards"] == []
    _card(service, rule="kidney_and_contrast", outcome="accepted")
    model = ModelRef(id="adult", version="1", sha256="0" * 64)
    with service.database.writing() as session:
        add_verdict(session, film, Finding(key="lung_mass", score=0.83, model=model), "agree", said_by="x", at=NOW)
        assert verdicts_of_film(session, film)
        (row,) = silent_report(session, service=ADVISOR)
    assert (row.rule, row.cards, row.patients) == ("kidney_and_contrast", 2, 1)
    assert (row.accepted_live.cases, row.accepted_live.of) == (1, 1)
    assert (row.films_agreed.cases, row.films_agreed.of) == (1, 1)
    assert row.warnings.value == 1.0
    assert row.done_without.of == 0


def test_a_follow_up_that_was_done_without_the_card_counts(service: Service) -> None:
    _card(service, rule="nodule_follow_up", silent=True, subject="urn:x|1")
    _card(service, rule="nodule_follow_up", silent=True, subject="urn:x|2")
    with service.database.writing() as session:
        for number, state in ((1, "closed"), (2, "open")):
            session.add(
                FollowUpRow(
                    id=str(number),
                    subject=f"urn:x|{number}",
                    key="k",
                    state=state,
                    follow_up={"rule_id": "nodule_follow_up"},
                    opened_on=NOW.date(),
                    changed_at=NOW + timedelta(days=1),
                )
            )
        session.flush()
        (row,) = silent_report(session)
    assert (row.done_without.cases, row.done_without.of) == (1, 2)


def test_a_promotion_keeps_the_silent_report_as_its_evidence(make_service: MakeService, tmp_path: Path) -> None:
    service = _silent_service(make_service, tmp_path)
    _card(service, silent=True, rule="kidney_and_contrast")
    with service.database.reading() as session:
        act = promote(service.settings, session, ADVISOR, by="Dr. Tester", reason="four weeks", at=NOW)
    assert [row["rule"] for row in act.rules] == ["kidney_and_contrast"]
    assert json.loads((service.settings.data_dir / "acts.jsonl").read_text())["rules"][0]["cards"] == 1


def test_both_reports_are_read_over_rest(service: Service, client: TestClient, post: Post) -> None:
    _card(service, outcome="overridden")
    _card(service, silent=True)
    answers = client.get("/api/v1/feedback", params={"days": 30}).json()["answers"]
    assert answers[0]["overridden"]["of"] == 1
    assert client.get("/api/v1/silent", params={"service": ADVISOR}).json()[0]["cards"] == 1
    assert client.get("/api/v1/silent", params={"service": "other"}).json() == []


def test_both_reports_are_printed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    _card(service, outcome="overridden")
    _card(service, silent=True)
    monkeypatch.setenv("CDS_DATA_DIR", str(service.settings.data_dir))
    run = CliRunner()
    printed = run.invoke(app, ["feedback", "report"]).stdout
    assert "overridden 100% (21% to 100%, 1 of 1)" in printed
    assert "too_few: r 1" in printed
    assert json.loads(run.invoke(app, ["feedback", "report", "--json"]).stdout)["proposals"]
    assert "1 cards of 1 patients" in run.invoke(app, ["silent", "report"]).stdout
    assert json.loads(run.invoke(app, ["silent", "report", "--json"]).stdout)["cards"] == 1
