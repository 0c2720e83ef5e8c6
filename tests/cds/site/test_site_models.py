"""What a site decides of the models: thresholds that reach a film's label, and models it has put into service."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pydicom.data import get_testdata_file
from typer.testing import CliRunner, Result

from cds.assessing.assessment import utc_now
from cds.cli.app import app
from cds.errors import ConfigurationError
from cds.operating.doctor import examine
from cds.oversight.promotion import ACTS
from cds.service import Service
from cds.settings import Settings
from cds.site.entries import put_entry
from cds.store.films import film_by_id
from fusion.training.findings import train_findings
from vision import ImagingResult, read_radiograph
from vision.analyze import MODELS
from vision.card import read_card

ADULT, FRACTURE = read_card(MODELS / "adult"), read_card(MODELS / "fracture")
ENTRY = {
    "id": "tuberculosis",
    "finding": "tuberculosis",
    "model": ADULT.id,
    "model_sha256": ADULT.sha256,
    "value": 0.001,
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    return folder


def service(site: Path) -> Service:
    return Service(Settings(data_dir=site.parent / "data", config_dir=site, inference_threads=1))


def with_threshold(site: Path, **changes: object) -> Service:
    put_entry(site / "thresholds.yaml", "thresholds", {**ENTRY, **changes}, head="")
    return service(site)


def result_of(made: Service) -> ImagingResult:
    film = read_radiograph(Path(str(get_testdata_file("RG1_J2KI.dcm", download=False))))
    return made.models.analyzer.analyze(film, at=utc_now())


def test_tuberculosis_gets_a_label_from_the_site_s_threshold_only(site: Path) -> None:
    before = result_of(service(site)).finding("tuberculosis")
    assert before is not None
    assert before.label is None
    after = result_of(with_threshold(site)).finding("tuberculosis")
    assert after is not None
    assert (after.label, after.threshold) == (True, 0.001)


def test_a_threshold_of_another_model_is_refused_and_said_by_doctor_and_health(site: Path) -> None:
    made = with_threshold(site, model_sha256="b" * 64)
    made.database.migrate()
    found = result_of(made).finding("tuberculosis")
    assert found is not None
    assert found.label is None
    (line,) = [finding for finding in examine(made) if finding.subject == "threshold of tuberculosis"]
    assert line.level == "error"
    assert "other weights" in line.message
    health = made.health()
    assert health["status"] == "degraded"
    assert health["degraded"] == ["threshold of tuberculosis"]


def test_a_threshold_in_force_leaves_health_as_it_was(site: Path) -> None:
    made = with_threshold(site)
    made.database.migrate()
    assert made.health()["status"] == "pass"
    assert [row["state"] for row in made.health()["thresholds"]] == ["in force"]


def test_what_calibrate_writes_is_what_the_analyzer_takes(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDS_CONFIG_DIR", str(site))
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    table = tmp_path / "scored.csv"
    table.write_text("score,label\n" + "".join(f"{n / 100},{int(n > 40)}\n" for n in range(1, 100)), "utf-8")
    call = ["calibrate", str(table), "--finding", "tuberculosis", "--model", ADULT.id, "--sensitivity", "0.95"]
    for more in ([], ["--device", "Cassette Holder Type 9840 500 70201"]):
        assert CliRunner().invoke(app, [*call, *more, "--accept-few"]).exit_code == 0
    entries = yaml.safe_load((site / "thresholds.yaml").read_text("utf-8"))["thresholds"]
    assert len(entries) == 2
    assert result_of(service(site)).finding("tuberculosis").threshold == entries[1]["value"]  # type: ignore[union-attr]


def promote(*more: str) -> Result:
    call = ["promote", "vision-fracture", "--by", "Dr. Example", "--reason", "evaluated on 300 films", "--json", *more]
    return CliRunner().invoke(app, call)


@pytest.fixture
def here(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site as the environment has it."""
    monkeypatch.setenv("CDS_CONFIG_DIR", str(site))
    monkeypatch.setenv("CDS_DATA_DIR", str(site.parent / "data"))
    return site


def stored_result(made: Service) -> ImagingResult:
    """Send the packaged film of a leg through arrival, queue and worker."""
    made.database.migrate()
    data = Path(str(get_testdata_file("RG3_J2KI.dcm", download=False))).read_bytes()
    receipt = made.film_arrivals.receive(data, source="upload", at=utc_now())
    assert made.worker().run_one()
    with made.database.reading() as session:
        film = film_by_id(session, receipt.film_id)
        assert film is not None
        assert film.result is not None
        return ImagingResult.model_validate(film.result)


def test_a_model_that_ships_off_speaks_once_it_is_promoted(here: Path) -> None:
    assert stored_result(service(here)).rejection is not None
    service(here).database.close()
    done = promote()
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["sha256"] == FRACTURE.sha256
    assert 0.5 < record["figures"]["fracture"]["value"] < 1
    assert json.loads((here.parent / "data" / ACTS).read_text("utf-8").splitlines()[-1]) == record
    (here.parent / "data" / "roentgen.sqlite3").rename(here.parent / "old.sqlite3")
    result = stored_result(service(here))
    assert [finding.key for finding in result.findings] == ["fracture"]
    assert result.rejection is None


def test_a_folder_of_the_site_s_own_is_promoted_and_one_that_is_damaged_is_not(here: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(MODELS / "fracture", tmp_path / "own"))
    assert promote("--folder", str(own)).exit_code == 0
    (entry,) = yaml.safe_load((here / "models.yaml").read_text("utf-8"))["models"]
    assert entry["folder"] == str(own)
    (row,) = [row for row in service(here).models.status() if row["id"] == "vision-fracture"]
    assert row["state"] == "served"
    (own / "model.bin").write_bytes(b"other weights")
    refused = promote("--folder", str(own))
    assert isinstance(refused.exception, ConfigurationError)
    (row,) = [row for row in service(here).models.status() if row["id"] == "vision-fracture"]
    assert row["state"] == "refused"


def test_a_findings_model_of_the_site_is_promoted_with_its_hash_and_then_served(here: Path, tmp_path: Path) -> None:
    folder = tmp_path / "findings"
    random = np.random.default_rng(1)
    truth = (np.arange(200) % 2).astype(int)
    score = np.clip(random.normal(0.3 + 0.4 * truth, 0.2), 0, 1)
    said = np.where(truth == 1, "present", "absent")
    table = {"finding": "pneumothorax", "image_score": score, "report_assertion": said, "truth": truth}
    train_findings(pd.DataFrame(table), folder, resamples=20, say=lambda _: None)
    assert service(here).models.risks.findings is None
    call = ["promote", "findings", "--by", "Dr. Example", "--reason", "read 200 films again"]
    assert CliRunner().invoke(app, [*call, "--folder", str(folder)]).exit_code == 0
    served = service(here).models.risks.findings
    assert served is not None
    assert served.findings == ("pneumothorax",)
    assert isinstance(CliRunner().invoke(app, call).exception, ConfigurationError)


def test_a_model_that_is_not_there_cannot_be_promoted(here: Path) -> None:
    done = CliRunner().invoke(app, ["promote", "vision-haircut", "--by", "Dr. Example", "--reason", "none"])
    assert isinstance(done.exception, ConfigurationError)
    assert not (here / "models.yaml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thresholds: {}\n", "expected a list"),
        ("thresholds:\n- {id: a, finding: a, model: m, model_sha256: x, value: 1.5}\n", "a: value"),
        ("thresholds:\n- {id: a, model: m, model_sha256: x, value: 0.5}\n", "finding"),
        ("thresholds: [\n", "not YAML"),
        ("thresholds:\n- {id: a}\n- {id: a}\n", "same id"),
    ],
)
def test_a_bad_file_of_thresholds_is_named_with_what_is_wrong(site: Path, text: str, message: str) -> None:
    (site / "thresholds.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=message):
        _ = service(site).models.analyzer
