"""A catalogue is matched where modality, contrast, side and place agree; a person decides, and only then it counts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds.cli.app import app
from cds.errors import ConfigurationError
from cds.site.catalogue import confirmed_rows, proposals, with_rows
from cds.site.configuration import Configs
from cds.site.orders import OrderTable

SYSTEM = "urn:oid:2.999.7"
NAMES = {
    "CT Thorax with IV contrast": "ct_chest_with_contrast",
    "CT CHEST W CONTRAST": "ct_chest_with_contrast",
    "CT CHEST W/O CONTRAST": "ct_chest_without_contrast",
    "XR CHEST 2 VIEWS": "xr_chest_pa_lateral",
    "X-ray chest portable AP": "xr_chest_portable",
    "CTPA": "ct_pulmonary_angiography",
    "CT Head without contrast": "ct_head_without_contrast",
    "MRI Lumbar Spine w/o contrast": "mr_lumbar_spine_without_contrast",
    "Mammogram screening bilateral": "mg_screening",
    "PET/CT whole body": "pet_ct_whole_body",
    "Creatinine serum": "creatinine",
    "CT chest with and without contrast": "",
    "MRI chest with contrast": "",
    "XR hand left": "",
    "CT Neck with contrast": "",
    "Liver function tests": "",
    "Dietary advice": "",
}


@pytest.fixture(scope="module")
def table() -> OrderTable:
    return OrderTable.from_csv(Configs().packaged_text("orders.csv"))


def _catalogue(folder: Path, names: list[str]) -> Path:
    file = folder / "catalogue.csv"
    rows = "".join(f'C{number},"{name}"\n' for number, name in enumerate(names))
    file.write_text(f"code,name\n{rows}", encoding="utf-8")
    return file


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_proposed_as_what_it_is_or_not_at_all(tmp_path: Path, table: OrderTable, name: str) -> None:
    (found,) = proposals(_catalogue(tmp_path, [name]), table, system=SYSTEM)
    assert found.orderable == NAMES[name], found


def test_a_code_that_is_mapped_already_is_not_proposed_again(tmp_path: Path, table: OrderTable) -> None:
    file = tmp_path / "catalogue.csv"
    file.write_text("system,code,name\nhttp://loinc.org,24627-2,CT chest\n", encoding="utf-8")
    assert proposals(file, table) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name\nCT\n", "code"),
        ("code,name\nA,\n", "line 2"),
        ("code,name\nA,CT\nA,MR\n", "line 3"),
        ("\xff\xfe", "UTF-8"),
    ],
)
def test_a_catalogue_that_cannot_be_read_is_refused_by_place(
    tmp_path: Path, table: OrderTable, text: str, place: str
) -> None:
    file = tmp_path / "catalogue.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=place):
        proposals(file, table, system=SYSTEM)


def _sheet(folder: Path, *rows: str) -> Path:
    file = folder / "sheet.csv"
    file.write_text("system,code,orderable,confirmed\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return file


def test_only_what_a_person_confirmed_is_mapped(tmp_path: Path, table: OrderTable) -> None:
    sheet = _sheet(tmp_path, f"{SYSTEM},A,ct_chest,yes", f"{SYSTEM},B,ct_chest,", f"{SYSTEM},C,ct_chest,no")
    site = with_rows("", confirmed_rows(sheet, table))
    assert [row["code"] for row in csv.DictReader(io.StringIO(site))] == ["A"]
    mapped = OrderTable.from_csv(Configs().packaged_text("orders.csv"), site)
    assert mapped.concept("ct_chest") == {
        "coding": [
            {"system": SYSTEM, "code": "A", "display": "CT chest"},
            {"system": "http://loinc.org", "code": "24627-2", "display": "CT chest"},
        ],
        "text": "CT chest",
    }


@pytest.mark.parametrize("row", ["urn:x,A,no_such_orderable,yes", "urn:x,A,ct_chest,perhaps"])
def test_a_sheet_with_a_doubt_in_it_is_refused(tmp_path: Path, table: OrderTable, row: str) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        list(confirmed_rows(_sheet(tmp_path, row), table))


def test_the_command_line_proposes_and_confirms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CDS_CONFIG_DIR", str(site))
    run = CliRunner()
    sheet = tmp_path / "sheet.csv"
    catalogue = str(_catalogue(tmp_path, ["CT chest with contrast", "CTPA", "Dietary advice"]))
    made = run.invoke(app, ["orders", "import", catalogue, "--system", SYSTEM, "--out", str(sheet)])
    assert made.exit_code == 0, made.output
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8"))))
    rows[0]["confirmed"] = "yes"
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done = run.invoke(app, ["orders", "confirm", str(sheet), "--by", "Dr. Tester", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == 1
    again = run.invoke(app, ["orders", "import", catalogue, "--system", SYSTEM, "--json"])
    assert [json.loads(line)["name"] for line in again.stdout.splitlines()] == ["CTPA", "Dietary advice"]
