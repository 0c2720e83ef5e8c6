"""Order time: what an answer says of the store, what is kept of it, and that it waits for nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cds.arrival import FilmArrivals, ReportArrivals
from cds.assessing.assessment import AssessedPatient, Assessor
from cds.jobs.worker import Worker
from cds.site.configuration import Configs, IdentityTable
from cds.site.orders import OrderTable
from cds.store import BlobFolder, Database
from cds.store.films import store_imaging_result
from cds.store.ledger import case_by_id
from cds.store.reports import store_report_result
from cds.store.tables import AssessmentRow
from fusion import TwoPatientsError, compile_rules
from nlp import Extractor, StructuredReport
from nlp.result import Mention
from nlp.vocabulary import Vocabulary
from vision import ImagingResult
from vision.result import Finding, ModelRef

Json = dict[str, Any]
SERVER = "https://ehr.example/fhir"


@pytest.fixture
def assessor(database: Database, identity: IdentityTable) -> Assessor:
    models = SimpleNamespace(risks=SimpleNamespace(assess=lambda *_: (), findings=None))
    orders = OrderTable.from_csv(Configs().packaged_text("orders.csv"))
    return Assessor(database, models, compile_rules({}), orders, identity, "https://cds.example")  # type: ignore[arg-type]


@pytest.fixture
def ask(assessor: Assessor, at: datetime) -> Callable[..., AssessedPatient]:
    def assess(*others: Json, server: str | None = None, when: datetime = at, **more: Any) -> AssessedPatient:
        keep = more.pop("keep", True)
        record = [_patient(**more), *others]
        return assessor.assess_now(record, server=server, patient_id="p1", at=when, service="test", keep=keep)

    return assess


def _patient(**changes: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": "urn:oid:2.999.1", "value": "4711"}],
        "birthDate": "1950-01-02",
        "gender": "female",
        **changes,
    }


def _cases(database: Database) -> list[str]:
    with database.reading() as session:
        return [row.subject for row in session.query(AssessmentRow)]


def _modality(assessed: AssessedPatient, name: str) -> tuple[str, str | None]:
    modality = next(m for m in assessed.assessment.modalities if m.name == name)
    return modality.status, modality.detail


@pytest.fixture
def study(
    database: Database,
    films: FilmArrivals,
    reports: ReportArrivals,
    make_film: Callable[..., bytes],
    make_report: Callable[..., Json],
    at: datetime,
) -> Callable[..., None]:
    """Bring a film that shows a mass, and its report that says so, unless the film is of another study."""

    def arrive(**elements: Any) -> None:
        film_id = films.receive(make_film(**elements), source="upload", at=at).film_id
        report_id = reports.receive_fhir(make_report("Mass."), source="fhir", at=at).report_id
        model = ModelRef(id="m", version="1", sha256="0")
        finding = Finding(key="lung_mass", score=0.9, label=True, threshold=0.5, model=model)
        mention = Mention(finding="lung_mass", assertion="present", section="findings", start=0, end=4)
        with database.writing() as session:
            store_imaging_result(session, film_id, ImagingResult(findings=(finding,), analysed_at=at), at=at)
            store_report_result(session, report_id, StructuredReport(findings=(mention,), extracted_at=at), at=at)

    return arrive


def test_film_and_report_of_a_study_are_compared(
    ask: Callable[..., AssessedPatient], study: Callable[..., None]
) -> None:
    study()
    (view,) = ask().assessment.findings
    assert (view.key, view.agreement) == ("lung_mass", "agree")


def test_film_and_report_of_two_studies_are_shown_and_not_compared(
    ask: Callable[..., AssessedPatient], study: Callable[..., None]
) -> None:
    study(StudyInstanceUID="2.25.77", AccessionNumber="A7")
    (view,) = ask().assessment.findings
    assert (view.report_assertion, view.image_label, view.agreement) == ("present", True, "not_comparable")


def test_a_contradicted_film_is_unresolved_with_the_reason(
    ask: Callable[..., AssessedPatient], study: Callable[..., None]
) -> None:
    study(PatientBirthDate="19500201")
    assessed = ask()
    status, detail = _modality(assessed, "imaging")
    assert status == "identity_unresolved"
    assert "birth_date_differs" in (detail or "")
    assert all(view.image_score is None for view in assessed.assessment.findings)


def test_a_film_that_waits_is_missing_and_said_to_wait(
    ask: Callable[..., AssessedPatient], films: FilmArrivals, make_film: Callable[..., bytes], at: datetime
) -> None:
    films.receive(make_film(), source="upload", at=at)
    assert _modality(ask(), "imaging") == ("missing", "the newest has arrived and waits to be worked on")


def test_a_film_on_which_no_model_could_say_anything_is_said_to_be_so(
    ask: Callable[..., AssessedPatient],
    database: Database,
    films: FilmArrivals,
    make_film: Callable[..., bytes],
    at: datetime,
) -> None:
    film_id = films.receive(make_film(), source="upload", at=at).film_id
    result = ImagingResult(not_applicable={"lung_mass": "the adult model is not in service"}, analysed_at=at)
    with database.writing() as session:
        store_imaging_result(session, film_id, result, at=at)
    assert _modality(ask(), "imaging") == (
        "used",
        "nothing was assessed on it: the adult model is not in service",
    )


def test_a_case_is_kept_under_the_record_number_and_linked(
    ask: Callable[..., AssessedPatient], database: Database
) -> None:
    assessed = ask(server=SERVER)
    assert _cases(database) == ["urn:oid:2.999.1|4711"] == [assessed.subject]
    assert assessed.case_url is not None
    with database.reading() as session:
        case = case_by_id(session, assessed.case_url.removeprefix("https://cds.example/cases/"))
    assert case is not None
    assert case.assessment == assessed.assessment


def test_without_a_record_number_the_server_says_whose_id_it_is(
    ask: Callable[..., AssessedPatient], database: Database
) -> None:
    ask(server=SERVER, identifier=[])
    ask(server="https://other.example", identifier=[])
    assert sorted(_cases(database)) == [f"{SERVER}|Patient/p1", "https://other.example|Patient/p1"]


def test_without_either_nothing_is_kept_and_no_two_are_one(
    ask: Callable[..., AssessedPatient], database: Database
) -> None:
    first, second = ask(identifier=[]), ask(identifier=[{"system": "urn:unknown", "value": "4711"}])
    assert (first.case_url, second.case_url) == (None, None)
    assert first.subject != second.subject
    assert _cases(database) == []


def test_a_second_record_number_does_not_begin_a_second_case(
    ask: Callable[..., AssessedPatient], database: Database
) -> None:
    south = {"system": "urn:oid:2.999.2", "value": "1"}
    ask(identifier=[south])
    ask(identifier=[{"system": "urn:oid:2.999.1", "value": "4711"}, south])
    assert _cases(database) == ["urn:oid:2.999.2|1"]


def test_asking_again_writes_nothing(
    ask: Callable[..., AssessedPatient], database: Database, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask()
    monkeypatch.setattr(database, "writing", lambda **_: pytest.fail("wrote"))
    assert ask(when=at + timedelta(minutes=5)).case_url == first.case_url
    assert ask(when=at - timedelta(days=400)).case_url == first.case_url
    assert ask(when=at + timedelta(days=90), keep=False).case_url is None


def test_a_busy_store_costs_the_link_and_not_the_answer(
    ask: Callable[..., AssessedPatient], database: Database
) -> None:
    with database.writing():
        assessed = ask()
    assert assessed.case_url is None
    assert assessed.assessment.modalities
    assert ask().case_url is not None


def test_orders_are_read_by_the_table_and_the_unmapped_named(assessor: Assessor, at: datetime) -> None:
    def draft(identity: str, code: str) -> Json:
        coding = [{"system": "http://loinc.org", "code": code}]
        return {"resourceType": "ServiceRequest", "id": identity, "status": "draft", "code": {"coding": coding}}

    assessed = assessor.assess_now(
        [_patient()],
        server=SERVER,
        patient_id="p1",
        drafts=[draft("known", "30745-4"), draft("unknown", "0-0")],
        selections=["ServiceRequest/known"],
        at=at,
        service="test",
    )
    assert [(order.orderable, order.selected) for order in assessed.drafts] == [("xr_chest", True), (None, False)]
    assert assessed.unmapped == ("ServiceRequest/unknown",)


def test_two_patients_are_refused(ask: Callable[..., AssessedPatient]) -> None:
    with pytest.raises(TwoPatientsError):
        ask(_patient(id="p2"))


def test_a_nodule_on_a_ct_is_followed_as_on_a_ct_from_the_code_of_the_report(
    database: Database,
    blobs: BlobFolder,
    identity: IdentityTable,
    reports: ReportArrivals,
    make_report: Callable[..., Json],
    at: datetime,
) -> None:
    configs = Configs()
    orders = OrderTable.from_csv(configs.packaged_text("orders.csv"))
    rules = compile_rules(configs.texts("rules"), orderables=orders.orderables, findings=configs.findings())
    vocabulary = Vocabulary.from_documents(configs.documents("lexicon"), known=configs.findings())
    models = SimpleNamespace(
        risks=SimpleNamespace(assess=lambda *_: (), findings=None), extractor=Extractor(vocabulary)
    )
    code = {"coding": [{"system": "http://loinc.org", "code": "24627-2"}]}
    text = "FINDINGS: There is a solid 7 mm nodule in the right upper lobe."
    reports.receive_fhir(make_report(text, code=code), source="fhir", at=at)
    Worker(database, blobs, models).run_one()  # type: ignore[arg-type]
    assessor = Assessor(database, models, rules, orders, identity, "https://cds.example")  # type: ignore[arg-type]
    assessed = assessor.assess_now([_patient()], server=None, patient_id="p1", at=at, service="test")
    opened = {item.rule_id for item in assessed.assessment.follow_ups}
    assert "fleischner_follow_up_ct" in opened
    assert "nodule_on_radiograph" not in opened
