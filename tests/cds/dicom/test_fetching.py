"""Films fetched from a real archive: new ones once, though interrupted, and earlier ones of the same record number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from cds.arrival import FilmArrivals
from cds.dicom.fetching import Fetching
from cds.dicom.nodes import Node
from cds.dicom.peers import Peer
from cds.errors import DeliveryError
from cds.jobs.queue import EXCHANGE, Job, claim
from cds.outputs import make_objects
from cds.site.configuration import IdentityTable
from cds.store import Database
from cds.store.tables import FilmRow
from tests.cds.dicom.conftest import Listen
from tests.cds.outputs.test_outputs import source
from tests.end_to_end.cds_processes import free_port
from tests.end_to_end.orthanc import Orthanc, orthanc

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FilmMaker = Callable[..., bytes]
OUR_PORT = free_port()
TODAY = f"{datetime.now(UTC):%Y%m%d}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An archive for this module; each test has a patient of its own in it."""
    folder = tmp_path_factory.mktemp("archive") / "pacs"
    with orthanc(
        folder, modality_port=OUR_PORT, forward=False, DicomAlwaysAllowFind=True, DicomAlwaysAllowMove=True
    ) as a:
        yield a


@pytest.fixture
def by_web(archive: Orthanc) -> Node:
    return Node(id="web", dicomweb=archive.dicomweb, watch=True, priors=2, send="stow")


@pytest.fixture
def by_dicom(archive: Orthanc) -> Node:
    return Node(id="dicom", ae_title="ORTHANC", host="127.0.0.1", port=archive.dicom_port, priors=2)


@pytest.fixture
def fetching(
    films: FilmArrivals, database: Database, identity: IdentityTable, by_web: Node, by_dicom: Node
) -> Fetching:
    return Fetching(database, films, identity, (by_web, by_dicom), "ROENTGEN", ZoneInfo("UTC"))


def stored(database: Database) -> dict[str, str]:
    with database.reading() as session:
        return {row.sop_instance_uid: row.source for row in session.query(FilmRow)}


def test_new_films_of_a_watched_archive_come_once_though_the_look_was_interrupted(
    archive: Orthanc,
    fetching: Fetching,
    by_web: Node,
    make_film: FilmMaker,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = {"StudyInstanceUID": "2.25.11", "PatientID": "W1", "StudyDate": TODAY, "StudyTime": "010000"}
    for number in (1, 2):
        archive.holds(make_film(**named, SOPInstanceUID=f"2.25.11.{number}"))
    taken = FilmArrivals.receive
    calls = []

    def fails_at_the_second(self: FilmArrivals, *args: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise DeliveryError("cut off")
        return taken(self, *args, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FilmArrivals, "receive", fails_at_the_second)
        with pytest.raises(DeliveryError):
            fetching.look_through(by_web)
    assert len(stored(database)) == 1
    assert fetching.look_through(by_web) == 1
    assert fetching.look_through(by_web) == 0
    assert stored(database) == {"2.25.11.1": "pacs", "2.25.11.2": "pacs"}
    archive.holds(make_film(**named, SOPInstanceUID="2.25.11.3"))
    assert fetching.look_through(by_web) == 1, "a study that has grown is looked into again"


def current(database: Database, study: str) -> list[tuple[str, str | None, str | None, str]]:
    """Return UID, record number, sex and source of the films of a study that stand."""
    with database.reading() as session:
        rows = session.query(FilmRow).filter_by(study_instance_uid=study, superseded_by=None)
        return [(row.sop_instance_uid, row.identifier_value, row.sex, row.source) for row in rows]


def test_a_film_that_an_archive_gives_to_another_patient_under_its_uid_is_corrected_here(
    archive: Orthanc, fetching: Fetching, by_web: Node, make_film: FilmMaker, database: Database
) -> None:
    named = {"StudyInstanceUID": "2.25.12", "SOPInstanceUID": "2.25.12.1", "StudyDate": TODAY}
    archive.holds(make_film(**named, PatientID="WRONG"))
    fetching.look_through(by_web)
    assert current(database, "2.25.12") == [("2.25.12.1", "WRONG", "female", "pacs")]
    archive.forgets("2.25.12")
    archive.holds(make_film(**named, PatientID="RIGHT", PatientSex="M"))
    assert fetching.look_through(by_web) == 1
    assert current(database, "2.25.12") == [("2.25.12.1", "RIGHT", "male", "pacs")]
    assert fetching.look_through(by_web) == 0


def test_a_film_changed_where_no_query_tells_it_comes_by_the_operators_word(
    archive: Orthanc, fetching: Fetching, by_web: Node, make_film: FilmMaker, database: Database
) -> None:
    named = {"StudyInstanceUID": "2.25.13", "SOPInstanceUID": "2.25.13.1", "PatientID": "C1", "StudyDate": TODAY}
    archive.holds(make_film(**named))
    fetching.look_through(by_web)
    assert fetching.fetch_again(by_web, "2.25.13") == 0, "the same bytes are the same film"
    archive.forgets("2.25.13")
    archive.holds(make_film(**named, PixelData=bytes(128)))
    assert fetching.look_through(by_web) == 0, "QIDO-RS says of it what it said before"
    assert fetching.fetch_again(by_web, "2.25.13") == 1
    assert len(current(database, "2.25.13")) == 1


def test_an_earlier_film_fetched_again_still_is_one_to_compare_with(
    archive: Orthanc,
    fetching: Fetching,
    films: FilmArrivals,
    by_web: Node,
    make_film: FilmMaker,
    database: Database,
    at: datetime,
) -> None:
    named = {"StudyInstanceUID": "2.25.14", "SOPInstanceUID": "2.25.14.1", "PatientID": "C2", "StudyDate": "20200101"}
    films.receive(make_film(**named), source="prior", at=at)
    archive.holds(make_film(**named, PatientSex="M"))
    assert fetching.fetch_again(by_web, "2.25.14") == 1
    assert current(database, "2.25.14") == [("2.25.14.1", "C2", "male", "prior")]


def test_a_study_that_an_archive_will_not_give_keeps_no_other_back(
    archive: Orthanc, fetching: Fetching, by_web: Node, make_film: FilmMaker, database: Database
) -> None:
    early = {"StudyDate": TODAY, "StudyTime": "000001", "StudyInstanceUID": "2.25.15", "SOPInstanceUID": "2.25.15.1"}
    for number in ("D1", "D2"):
        archive.holds(make_film(**early, PatientID=number))
    archive.holds(make_film(StudyDate=TODAY, StudyInstanceUID="2.25.16", SOPInstanceUID="2.25.16.1", PatientID="D3"))
    fetching.look_through(by_web)
    assert current(database, "2.25.15") == [], "two patients with one study; Orthanc answers 404"
    assert [film[0] for film in current(database, "2.25.16")] == ["2.25.16.1"]
    archive.forgets("2.25.15", patient="D1")
    fetching.look_through(by_web)
    assert [film[1] for film in current(database, "2.25.15")] == ["D2"]


def test_a_study_that_is_added_later_under_an_older_date_is_found(
    archive: Orthanc, fetching: Fetching, by_web: Node, make_film: FilmMaker, database: Database
) -> None:
    fetching.look_through(by_web)
    days = {"2.25.61": 0, "2.25.62": 5, "2.25.63": 60}
    for study, days_ago in days.items():
        day = f"{datetime.now(UTC) - timedelta(days=days_ago):%Y%m%d}"
        archive.holds(
            make_film(
                StudyInstanceUID=study, SOPInstanceUID=f"{study}.1", PatientID="L1", StudyDate=day, ContentDate=day
            )
        )
        fetching.look_through(by_web)
    assert {"2.25.61.1", "2.25.62.1"} <= set(stored(database))
    assert "2.25.63.1" not in stored(database), "older than watch_days; the archive has to forward it"


def test_an_archive_that_cuts_its_answers_off_is_asked_for_the_rest(
    archive: Orthanc, by_web: Node, make_film: FilmMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        archive.holds(
            make_film(
                StudyInstanceUID=f"2.25.64.{number}",
                SOPInstanceUID=f"2.25.65.{number}",
                PatientID="L2",
                StudyDate="20200101",
            )
        )
    monkeypatch.setattr("cds.dicom.peers._PAGE", 2)
    found = Peer(by_web, "ROENTGEN").studies_of("L2", None)
    assert sorted(study.uid for study in found) == [f"2.25.64.{number}" for number in range(5)]


def earlier_films(archive: Orthanc, make_film: FilmMaker, patient: str, base: str) -> None:
    """Put three earlier studies of a patient into the archive, a later one, and one of a namesake."""
    studies = {"1": ("20200101", patient), "2": ("20210101", patient), "3": ("20220101", patient)}
    studies |= {"4": ("20990101", patient), "5": ("20230101", f"{patient}-OTHER")}
    for number, (day, number_of_record) in studies.items():
        archive.holds(
            make_film(
                StudyInstanceUID=f"{base}.{number}", SOPInstanceUID=f"{base}.{number}.1", PatientID=number_of_record,
                StudyDate=day, StudyTime="120000", ContentDate=day,
            )
        )  # fmt: skip


def arrive(fetching: Fetching, films: FilmArrivals, film: bytes, node: Node) -> None:
    """Let a film arrive and do the search for its priors that its result queues."""
    now = datetime.now(UTC)
    receipt = films.receive(film, source="c-store", at=now)
    with fetching.database.writing() as session:
        fetching.arrived(session, Job("1", "analyse_film", receipt.film_id, 1), now)
    destinations = set()
    for _ in fetching.nodes:
        with fetching.database.writing() as session:
            job = claim(session, "test", EXCHANGE, at=now + timedelta(seconds=1))
        assert job is not None
        destinations.add(job.destination)
        if job.destination == node.id:
            fetching.fetch_priors(job)
    assert destinations == {"web", "dicom"}


def test_the_latest_earlier_studies_of_the_same_record_number_come_as_priors(
    archive: Orthanc, fetching: Fetching, films: FilmArrivals, by_web: Node, make_film: FilmMaker, database: Database
) -> None:
    earlier_films(archive, make_film, "P1", "2.25.21")
    arrive(fetching, films, make_film(PatientID="P1", SOPInstanceUID="2.25.20", StudyInstanceUID="2.25.200"), by_web)
    assert stored(database) == {"2.25.20": "c-store", "2.25.21.2.1": "prior", "2.25.21.3.1": "prior"}


def test_priors_come_by_c_find_and_c_move_where_there_is_no_dicomweb(
    archive: Orthanc,
    fetching: Fetching,
    films: FilmArrivals,
    by_dicom: Node,
    make_film: FilmMaker,
    database: Database,
    listen: Listen,
) -> None:
    listen(dicom_port=OUR_PORT)
    earlier_films(archive, make_film, "P2", "2.25.31")
    arrive(fetching, films, make_film(PatientID="P2", SOPInstanceUID="2.25.30", StudyInstanceUID="2.25.300"), by_dicom)
    assert stored(database) == {"2.25.30": "c-store", "2.25.31.2.1": "prior", "2.25.31.3.1": "prior"}


def test_an_archive_says_how_many_instances_a_study_has(
    archive: Orthanc, by_web: Node, by_dicom: Node, make_film: FilmMaker
) -> None:
    for number in (1, 2):
        archive.holds(make_film(StudyInstanceUID="2.25.41", SOPInstanceUID=f"2.25.41.{number}", PatientID="P4"))
    assert Peer(by_web, "ROENTGEN").instances_in("2.25.41") == 2
    assert Peer(by_web, "ROENTGEN").instances_in("2.25.404") is None
    assert Peer(by_dicom, "ROENTGEN").instances_in("2.25.41") in (2, None)


def test_an_object_goes_back_by_stow(archive: Orthanc, by_web: Node) -> None:
    report = make_objects(source())[0]
    Peer(by_web, "ROENTGEN").send(report.written())
    Peer(by_web, "ROENTGEN").send(report.written())
    assert list(archive.instances_of(str(report.dataset.StudyInstanceUID)).values()) == ["SR"]


@pytest.mark.parametrize("kind", ["web", "dicom"])
def test_an_archive_that_answers_is_greeted_and_one_that_is_gone_is_named(
    by_web: Node, by_dicom: Node, kind: str, free_port: int
) -> None:
    node = by_web if kind == "web" else by_dicom
    Peer(node, "ROENTGEN").greet()
    gone = {"dicomweb": f"http://127.0.0.1:{free_port}/dicom-web"} if kind == "web" else {"port": free_port}
    with pytest.raises(DeliveryError) as refused:
        Peer(node.model_copy(update=gone), "ROENTGEN").greet()
    assert not refused.value.for_good


def test_a_key_goes_along_as_basic_or_bearer() -> None:
    for key, header in (("token", "Bearer token"), ("user:pw", None)):
        node = Node(id="x", dicomweb="http://127.0.0.1:1/dicom-web", key=SecretStr(key))
        session = Peer(node, "ROENTGEN")._client()._session
        assert session.headers.get("Authorization") == header
        assert session.auth == (None if header else ("user", "pw"))


def test_a_prior_asks_for_nothing_further(
    fetching: Fetching, films: FilmArrivals, make_film: FilmMaker, at: datetime
) -> None:
    receipt = films.receive(make_film(), source="prior", at=at)
    with fetching.database.writing() as session:
        fetching.arrived(session, Job("1", "analyse_film", receipt.film_id, 1), at)
        assert claim(session, "test", EXCHANGE, at=at + timedelta(seconds=1)) is None
