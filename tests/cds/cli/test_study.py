"""The verbs for models and for a site's own acts: figures come out, errors are one line, acts are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from cds.assessing.assessment import utc_now
from cds.cli.app import app
from cds.errors import ConfigurationError
from cds.oversight.promotion import ACTS, with_live_service
from cds.service import Service
from cds.settings import load_settings
from cds.store.tables import CardRow
from vision import Analyzer, Technique
from vision.result import Finding, ImagingResult, ModelRef, Rejection

SHA = "a" * 64
SERVICES = """# our services
services:
  - id: follow-up-tracker   # since spring
    silent: true
    max_cards: 2
  - id: chest-imaging-risk
    silent: false
"""


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site with its own configs and a store of its own."""
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "services.yaml").write_text(SERVICES, "utf-8")
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CDS_CONFIG_DIR", str(configs))
    return configs


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A CSV of scored cases with a group."""
    random = np.random.default_rng(4)
    label = (random.random(300) < 0.4).astype(int)
    score = 1 / (1 + np.exp(-random.normal(2 * label - 1, 1)))
    file = tmp_path / "scored.csv"
    pd.DataFrame({"score": score, "label": label, "sex": ["female", "male"] * 150}).to_csv(file, index=False)
    return file


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_an_audit_prints_a_line_for_everyone_and_for_each_group(scored: Path) -> None:
    done = run("audit", scored, "--threshold", "0.5", "--json")
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["value"] for row in rows] == ["everyone", "female", "male"]
    assert all(row["auroc"]["low"] < row["auroc"]["value"] < row["auroc"]["high"] for row in rows)
    shown = run("audit", scored)
    assert "sex = female" in shown.stdout
    assert len(shown.stdout.splitlines()) == 3
    assert "AUROC" in shown.stdout


def test_a_threshold_is_written_bound_to_its_model_in_place_of_the_older(
    scored: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds.studies.running.model_sha256", lambda settings, model: SHA)
    for sensitivity in ("0.8", "0.95"):
        done = run(
            "calibrate", scored, "--finding", "tuberculosis", "--model", "adult", "--sensitivity", sensitivity, "--json"
        )
        assert done.exit_code == 0
    (entry,) = yaml.safe_load((site / "thresholds.yaml").read_text("utf-8"))["thresholds"]
    assert (entry["id"], entry["model"], entry["model_sha256"]) == ("tuberculosis", "adult", SHA)
    assert entry["operating_point"] == "sensitivity 0.95"
    assert entry["sensitivity"] >= 0.95
    assert entry["sensitivity_interval"][0] < entry["sensitivity"]
    assert json.loads(done.stdout)["value"] == entry["value"]


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hospital's folder of films, of which the models say a score that the file's name carries; one is refused."""
    folder = tmp_path / "films"
    folder.mkdir()
    rows = [(f"{number}.png", f"p{number // 2}", number % 2, "F" if number % 4 else "M") for number in range(100)]
    table = pd.DataFrame(rows, columns=["file", "patient", "tuberculosis", "sex"])
    table.to_csv(folder / "labels.csv", index=False)

    def analysed(analyzer: Analyzer, paths: list[Path], technique: Technique) -> Any:
        (path,) = paths
        number, at = int(path.stem), utc_now()
        if number == 7:
            return [(path, ImagingResult(rejection=Rejection(code="partial", reason="cut"), analysed_at=at))]
        model = ModelRef(id="vision-adult", version="1", sha256=SHA)
        found = Finding(key="tuberculosis", score=0.3 + 0.4 * (number % 2) + number / 1000, model=model)
        return [(path, ImagingResult(findings=(found,), analysed_at=at))]

    monkeypatch.setattr("cds.studies.scored_films.analyze_files", analysed)
    return folder


def test_films_of_a_folder_are_scored_for_an_audit_and_a_threshold(
    labelled: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited = run("audit", labelled, "--finding", "tuberculosis", "--json")
    rows = [json.loads(line) for line in audited.stdout.splitlines()]
    assert [(row["value"], row["count"], row["positives"]) for row in rows] == [
        ("everyone", 99, 49),
        ("F", 74, 49),
        ("M", 25, 0),
    ]
    assert "1 films gave no score of tuberculosis" in audited.stderr
    monkeypatch.setattr("cds.studies.running.model_sha256", lambda settings, model: SHA)
    done = run("calibrate", labelled, "--finding", "tuberculosis", "--model", "vision-adult", "--sensitivity", "1")
    assert done.exit_code == 0
    (entry,) = yaml.safe_load((site / "thresholds.yaml").read_text("utf-8"))["thresholds"]
    assert entry["value"] == pytest.approx(0.701)


def test_films_without_the_finding_or_a_score_of_the_model_are_said(labelled: Path) -> None:
    assert run("audit", labelled).exit_code == 2
    other = run("audit", labelled, "--finding", "pneumothorax")
    assert (other.exit_code, type(other.exception)) == (1, ConfigurationError)
    calls = ("calibrate", labelled, "--finding", "tuberculosis", "--model", "vision-paediatric", "--sensitivity", "0.9")
    assert "no film" in str(run(*calls).exception)


def test_few_cases_give_figures_and_no_threshold(
    scored: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds.studies.running.model_sha256", lambda settings, model: SHA)
    few = tmp_path / "few.csv"
    few.write_text("".join(scored.read_text("utf-8").splitlines(keepends=True)[:60]), "utf-8")
    call = ("calibrate", few, "--finding", "tuberculosis", "--model", "adult", "--specificity", "0.9")
    assert run(*call).exit_code == 2
    assert not (site / "thresholds.yaml").exists()
    assert run(*call, "--accept-few").exit_code == 0
    assert (site / "thresholds.yaml").exists()


@pytest.mark.parametrize("wishes", [(), ("--sensitivity", "0.9", "--specificity", "0.9")])
def test_either_sensitivity_or_specificity_is_wished(scored: Path, wishes: tuple[str, ...]) -> None:
    assert run("calibrate", scored, "--finding", "tuberculosis", "--model", "adult", *wishes).exit_code == 2


def test_promotion_changes_one_word_of_the_file_and_nothing_else() -> None:
    live = with_live_service(SERVICES, "follow-up-tracker")
    assert live == SERVICES.replace("silent: true", "silent: false")


@pytest.mark.parametrize("service", ["chest-imaging-risk", "imaging-order-advisor"])
def test_what_is_not_silent_cannot_be_promoted(service: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing to promote"):
        with_live_service(SERVICES, service)


def test_a_promotion_is_recorded_with_what_was_said_in_silence(site: Path, tmp_path: Path) -> None:
    service = Service(load_settings())
    service.database.migrate()
    with service.database.writing() as session:
        for number, silent in enumerate((True, True, False)):
            session.add(
                CardRow(
                    uuid=str(number), service="follow-up-tracker", hook="patient-view", hook_instance="h", subject="s",
                    key="k", rule_id="r", rule_version="1", models={}, indicator="info", silent=silent,
                    shown_at=utc_now(),
                )
            )  # fmt: skip
    done = run("promote", "follow-up-tracker", "--by", "Dr. Example", "--reason", "six weeks", "--json")
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    assert (record["silent_cards"], record["silent_by_indicator"]) == (2, {"info": 2})
    assert json.loads((tmp_path / "data" / ACTS).read_text("utf-8")) == record
    assert "silent: true" not in (site / "services.yaml").read_text("utf-8")
    again = run("promote", "follow-up-tracker", "--by", "Dr. Example", "--reason", "again")
    assert isinstance(again.exception, ConfigurationError)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("fusion",), "deterioration, severity, findings"),
        (("fusion", "--task", "weather"), "deterioration, severity, findings"),
    ],
)
def test_what_cannot_be_trained_is_said(call: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = run("train", *call, "--data", tmp_path, "--out", tmp_path / "out")
    assert isinstance(done.exception, ConfigurationError)
    assert message in str(done.exception)


def test_nlp_without_reports_says_so(tmp_path: Path) -> None:
    done = run("train", "nlp", "--data", tmp_path, "--out", tmp_path / "out")
    assert "reports.csv" in str(done.exception)


def test_an_evaluation_of_films_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    @contextmanager
    def bar(what: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, films: told.append((done, films))

    def evaluate(data: Path, *, progress: Callable[[int, int], None], **settings: Any) -> dict[str, Any]:
        progress(1, 2)
        return {"adult": {"films": 2}}

    monkeypatch.setattr("cds.cli.study.progress_bar", bar)
    monkeypatch.setattr("vision.evaluation.evaluate", evaluate)
    assert "films: 2" in run("evaluate", "vision", "--data", tmp_path).stdout
    assert told == [(1, 2)]


def test_the_help_of_training_names_the_extra() -> None:
    assert "roentgen-cds[train]" in run("train", "--help").stdout


def test_vision_without_the_packages_for_training_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds.studies.running.find_spec", lambda name: None)
    done = run("train", "vision", "--task", "adult", "--data", tmp_path, "--out", tmp_path / "out")
    assert "pip install 'roentgen-cds[train]'" in str(done.exception)


def test_findings_are_trained_from_a_table(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    truth = (random.random(300) < 0.5).astype(int)
    pairs = pd.DataFrame(
        {
            "finding": "pleural_effusion",
            "image_score": np.clip(random.normal(0.3 + 0.3 * truth, 0.15), 0, 1),
            "report_assertion": np.where(random.random(300) < 0.2 + 0.6 * truth, "present", "absent"),
            "truth": truth,
        }
    )
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    done = run(
        "train", "fusion", "--task", "findings", "--data", tmp_path / "pairs.csv", "--out", tmp_path / "out", "--json"
    )
    assert done.exit_code == 0
    assert "pleural_effusion" in json.loads(done.stdout)["metrics"]
    assert (tmp_path / "out" / "model.yaml").is_file()


@pytest.mark.shared_data
def test_the_extractor_is_evaluated_with_a_picture(shared_data: Path, tmp_path: Path) -> None:
    picture = tmp_path / "nlp.png"
    done = run("evaluate", "nlp", "--data", shared_data / "reports" / "negex", "--picture", picture, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["negex"]["negated"]["f1"] > 0.8
    assert picture.read_bytes().startswith(b"\x89PNG")
