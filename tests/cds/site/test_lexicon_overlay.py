"""A hospital's own words, from its folder to the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds.cli.app import app

SITE_WORDS = """
findings:
  - {id: site_effusion, finding: pleural_effusion, phrases: ["hydrothorax"]}
sections:
  - {id: site_anamnesis, section: history, phrases: ["anamnesis"]}
"""
TEXT = "ANAMNESIS: pneumonia\nFINDINGS: Small left hydrothorax. <b>Recommend CT</b>.\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site" / "lexicon").mkdir(parents=True)
    monkeypatch.setenv("CDS_CONFIG_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "site"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def report(tmp_path: Path) -> str:
    file = tmp_path / "report.txt"
    file.write_text(TEXT, encoding="utf-8")
    return str(file)


def test_a_synonym_and_a_section_title_need_no_code(site: Path, tmp_path: Path) -> None:
    (site / "lexicon" / "words.yaml").write_text(SITE_WORDS, encoding="utf-8")
    found = json.loads(run("extract", report(tmp_path), "--json").stdout)["findings"]
    assert [(one["finding"], one["section"], one["assertion"]) for one in found] == [
        ("pneumonia", "history", "historical"),
        ("pleural_effusion", "findings", "present"),
    ]


def test_explain_names_the_entry_that_fired(site: Path, tmp_path: Path) -> None:
    (site / "lexicon" / "words.yaml").write_text(SITE_WORDS, encoding="utf-8")
    shown = run("extract", report(tmp_path), "--explain").stdout
    assert "site_effusion" in shown
    assert "pneumonia+section.history" in shown


def test_the_check_names_the_file_and_the_entry_of_a_mistake(site: Path) -> None:
    (site / "lexicon" / "ours.yaml").write_text(
        "findings:\n  - {id: site_effusion, finding: plural_effusion, phrases: [hydrothorax]}\n", encoding="utf-8"
    )
    result = run("rules", "check")
    assert result.exit_code == 1
    assert "ours.yaml: findings.site_effusion: unknown finding 'plural_effusion'" in " ".join(result.output.split())


def test_fhir_and_the_page_come_from_the_command_line(site: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("extract", report(tmp_path), "--fhir", "--html", str(page))
    assert json.loads(result.stdout)["resourceType"] == "DiagnosticReport"
    assert "&lt;b&gt;" in page.read_text("utf-8")
    assert "<b>" not in page.read_text("utf-8")
