"""A film through a real PACS and back: sent, forwarded, analysed, answered within its study, and used when ordering."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from cds.demo.ehr import DemoEhr, SigningKey
from cds.demo.film import demo_film
from cds.demo.record import ISSUER, PATIENT_ID, RECORD_NUMBER, drafted_orders, patient_record
from cds.demo.state import DemoState
from cds.service import Service
from cds.settings import Settings
from cds.store.tables import FilmRow
from tests.end_to_end.cds_processes import Served, free_port, served, wait_for
from tests.end_to_end.orthanc import Orthanc, orthanc

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

NODE = """
nodes:
  - id: orthanc
    ae_title: ORTHANC
    host: 127.0.0.1
    port: {dicom}
    dicomweb: {dicomweb}
    send: {send}
    priors: 1
    watch: {watch}
"""


@dataclass(frozen=True)
class Hospital:
    """A PACS and a service that know each other."""

    pacs: Orthanc
    service: Served
    state: DemoState

    def send(self, film: bytes, folder: Path) -> None:
        """Send a film to the PACS as a modality does."""
        file = folder / "film.dcm"
        file.write_bytes(film)
        command = ["storescu", "-xw", "-aec", "ORTHANC", "127.0.0.1", str(self.pacs.dicom_port), str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    if shutil.which("storescu") is None:
        pytest.skip("no DCMTK on this machine; Debian: apt-get install dcmtk")
    folder, port = tmp_path_factory.mktemp("hospital"), free_port()
    with orthanc(folder / "pacs", modality_port=port, forward=True) as pacs:
        configs = folder / "configs"
        configs.mkdir()
        (configs / "pacs.yaml").write_text(
            NODE.format(dicom=pacs.dicom_port, dicomweb=pacs.dicomweb, send="c-store", watch="false")
        )
        with served(folder, dicom_port=port, config_dir=configs, dicom_quiet_s=2) as service:
            wait_for(lambda: listens(port), "the receiver")
            yield Hospital(pacs, service, DemoState.of(folder / "demo"))


def listens(port: int) -> bool:
    command = ["echoscu", "-aec", "ROENTGEN", "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def film_of(state: DemoState, **changes: str) -> bytes:
    """Return the demo film of a state with header values changed."""
    film = pydicom.dcmread(io.BytesIO(demo_film(state, patient_id=RECORD_NUMBER, issuer=ISSUER)))
    for name, value in changes.items():
        setattr(film, name, value)
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    out = io.BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


def listed(client: httpx.Client, study: str) -> dict[str, Any] | None:
    """Return the film of a study, once it is there."""
    return next((f for f in client.get("/api/v1/studies").json() if f["study_instance_uid"] == study), None)


def test_a_film_goes_through_the_pacs_and_its_results_come_back_into_the_study(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, pacs, study = hospital.state, hospital.pacs, hospital.state.uid("study")
    prior = film_of(
        state, StudyInstanceUID="2.25.501", SeriesInstanceUID="2.25.502", SOPInstanceUID="2.25.503",
        StudyDate="20200105", ContentDate="20200105", AcquisitionDate="20200105", Modality="RG",
    )  # fmt: skip
    pacs.holds(prior)
    times: dict[str, float] = {}
    started = time.perf_counter()

    def done(step: str) -> None:
        nonlocal started
        times[step] = time.perf_counter() - started
        started = time.perf_counter()

    with hospital.service.client() as client:
        hospital.send(film_of(state), tmp_path)
        done("storescu to the PACS")
        wait_for(lambda: listed(client, study), "the forwarded film")
        done("forwarded and stored")
        film = wait_for(lambda: (f := listed(client, study)) and f["status"] == "analysed" and f, "the result")
        done("analysed")
        expected = {"CR", "SR", "PR", "OT"} | ({"SEG"} if film["result"].get("masks") else set())
        wait_for(lambda: set(pacs.instances_of(study).values()) == expected, f"{expected} in the PACS")
        done("objects in the PACS")
        objects = {instance: kind for instance, kind in pacs.instances_of(study).items() if kind != "CR"}
        assert {
            f"{kind}: {error}" for i, kind in objects.items() for error in errors_of(pacs.file(i), tmp_path)
        } == set()
        done("validated")
        page = client.get(f"/films/{film['id']}")
        assert page.status_code == 200
        assert "Lung" in page.text
        done("case page")
        context = {"patientId": PATIENT_ID, "encounterId": "demo-encounter", "draftOrders": drafted_orders(state)}
        replies = DemoEhr(client, SigningKey()).call("order-sign", patient_record(state), context)
        done("order-sign")
        assert any(reply.hook == "order-sign" and reply.body["cards"] for reply in replies)
        used = client.post("/api/v1/risk", json={"bundle": patient_record(state), "patient_id": PATIENT_ID}).json()
        assert {m["name"]: m["status"] for m in used["modalities"]}["imaging"] == "used"
        studies = [film["study_instance_uid"] for film in client.get("/api/v1/studies").json()]
        assert studies == [study], "neither the prior nor our own picture, forwarded to us, is on the worklist"
    assert ("2.25.503", "prior") in stored(hospital.service.folder / "data")
    with capsys.disabled():
        sys.stdout.write("\n" + "".join(f"{step:24s} {seconds:7.2f} s\n" for step, seconds in times.items()))


def stored(data: Path) -> set[tuple[str, str]]:
    """Return SOPInstanceUID and source of every film that is stored."""
    with contextlib.closing(Service(Settings(data_dir=data))) as service, service.database.reading() as session:
        return {(row.sop_instance_uid, row.source) for row in session.query(FilmRow)}


def errors_of(data: bytes, folder: Path) -> list[str]:
    """Return what `dciodvfy` calls an error in an object."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy on this machine; Debian: apt-get install dicom3tools")
    file = folder / "made.dcm"
    file.write_bytes(data)
    done = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if "Error -" in line]
