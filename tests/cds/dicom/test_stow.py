"""STOW-RS: each instance answered for by itself; what is malformed, too much or made to burst is contained."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from pydicom.uid import ComprehensiveSRStorage

from cds.api import create_app
from cds.dicom.stow import MAX_INSTANCES, NotMultipartError, parts_of
from cds.service import Service
from cds.settings import Settings
from cds.store.tables import FilmRow

FilmMaker = Callable[..., bytes]
TYPE = 'multipart/related; type="application/dicom"; boundary=edge'
KEY = {"Authorization": "Bearer a-key-of-the-tests-01"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(
        Settings(data_dir=tmp_path / "served", max_body_mb=2, api_keys={"pacs": SecretStr("a-key-of-the-tests-01")})
    )
    service.database.migrate()
    yield service
    service.database.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), headers=KEY)


def multipart(*parts: bytes, kind: str = "application/dicom") -> bytes:
    body = b"".join(b"--edge\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + part + b"\r\n" for part in parts)
    return body + b"--edge--\r\n"


def post(client: TestClient, body: bytes, *, path: str = "/dicom-web/studies", **headers: str) -> Any:
    return client.post(path, content=body, headers={"Content-Type": TYPE, **headers})


def stored(service: Service) -> set[str]:
    with service.database.reading() as session:
        return {row.sop_instance_uid for row in session.query(FilmRow)}


def test_films_are_stored_and_named_in_the_answer(client: TestClient, service: Service, make_film: FilmMaker) -> None:
    answer = post(client, multipart(make_film(), make_film(SOPInstanceUID="2.25.5")))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    named = [item["00081155"]["Value"][0] for item in answer.json()["00081199"]["Value"]]
    assert named == ["2.25.1", "2.25.5"]
    assert stored(service) == {"2.25.1", "2.25.5"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"no film", 0xC000),
        (b"", 0xC000),
        (b"PK\x03\x04" + b"\x00" * 500, 0xC000),
        ({"StudyInstanceUID": "2.25.9"}, 0x0110),
        ({"SOPClassUID": ComprehensiveSRStorage}, 0x0122),
    ],
    ids=["noise", "empty", "zip", "another study", "no image"],
)
def test_what_is_refused_takes_nothing_else_with_it(
    client: TestClient, service: Service, make_film: FilmMaker, bad: bytes | dict[str, str], reason: int
) -> None:
    part = make_film(**{"SOPInstanceUID": "2.25.6", **bad}) if isinstance(bad, dict) else bad
    answer = post(client, multipart(part, make_film()), path="/dicom-web/studies/2.25.2")
    assert answer.status_code == 202
    assert answer.json()["00081198"]["Value"] == [{"00081197": {"vr": "US", "Value": [reason]}}]
    assert stored(service) == {"2.25.1"}
    assert post(client, multipart(part), path="/dicom-web/studies/2.25.2").status_code == 409


def test_only_clients_with_a_key_may_store(client: TestClient, service: Service, make_film: FilmMaker) -> None:
    assert post(client, multipart(make_film()), Authorization="Bearer another-key-of-nobody").status_code == 401
    assert stored(service) == set()


def zipped(size: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film.dcm", bytes(size))
    return file.getvalue()


def test_bombs_are_never_unpacked(client: TestClient, service: Service) -> None:
    assert post(client, gzip.compress(multipart(bytes(1 << 24))), **{"Content-Encoding": "gzip"}).status_code == 415
    assert post(client, multipart(zipped(1 << 24), kind="application/zip")).status_code == 409
    assert post(client, multipart(zipped(1 << 24))).status_code == 409
    assert stored(service) == set()


def test_too_large_and_too_many_are_refused_whole(client: TestClient, service: Service, make_film: FilmMaker) -> None:
    assert post(client, multipart(make_film(), bytes(3 << 20))).status_code == 413
    assert post(client, multipart(make_film(), *[b"x"] * MAX_INSTANCES)).status_code == 400
    assert stored(service) == set()


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/dicom", b"", 415),
        ('multipart/related; type="application/dicom"', multipart(b"x"), 415),
        ("multipart/related; boundary=" + "e" * 300, multipart(b"x"), 415),
        ("multipart/form-data; boundary=edge", multipart(b"x"), 415),
        (TYPE, b"--edge\r\nContent-Type: application/dicom\r\n\r\ncut off", 400),
        (TYPE, b"--other\r\n\r\nx\r\n--other--", 400),
        (TYPE, b"", 400),
        (TYPE, b"--edge--\r\n", 400),
    ],
)
def test_a_body_that_is_not_as_its_type_says_is_refused(
    client: TestClient, content_type: str, body: bytes, status: int
) -> None:
    answer = client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status


@given(parts=st.lists(st.binary(max_size=200).filter(lambda part: b"--edge" not in part), min_size=1, max_size=5))
def test_parts_come_out_as_they_went_in(parts: list[bytes]) -> None:
    assert [part.data for part in parts_of(TYPE, multipart(*parts))] == parts


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.binary(max_size=400), content_type=st.text(max_size=60) | st.just(TYPE))
def test_any_body_is_parts_or_a_refusal(body: bytes, content_type: str) -> None:
    with contextlib.suppress(NotMultipartError):
        assert isinstance(parts_of(content_type, body), list)
