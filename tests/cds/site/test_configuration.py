"""A site's folder is laid over the packaged one, entry by entry; what is wrong in it is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.errors import ConfigurationError
from cds.site.configuration import Configs, IdentityTable, Issuer


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path


def _configs(site: Path, **files: str) -> Configs:
    for name, text in files.items():
        place = site / name.replace("__", "/").replace("_yaml", ".yaml").replace("_csv", ".csv")
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return Configs(site)


def test_the_packaged_tables_are_sound() -> None:
    configs = Configs()
    assert configs.findings()["pneumothorax"].display == "Pneumothorax"
    assert configs.identity().issuers
    assert configs.services()


def test_the_fixed_finding_keys_are_in_the_table() -> None:
    fixed = """lung_opacity atelectasis cardiomegaly enlarged_mediastinum consolidation pulmonary_edema pleural_effusion
    pleural_thickening pneumothorax pneumonia paediatric_pneumonia tuberculosis infiltration lung_nodule lung_mass
    emphysema fibrosis hiatal_hernia fracture support_device breast_abnormality"""
    assert set(fixed.split()) <= set(Configs().findings())


def test_no_unverified_code_is_handed_out() -> None:
    table = Configs().table("findings.csv", "key")
    for row in table.values():
        for system in ("snomed", "radlex"):
            assert not row[system] or row[f"{system}_status"], row["key"]


def test_rows_of_a_site_replace_add_and_take_out(site: Path) -> None:
    text = "key,display,enabled\npneumothorax,Collapsed lung,\nsite_finding,Ours,\nfibrosis,,false\n"
    findings = _configs(site, findings_csv=text).findings()
    assert findings["pneumothorax"].display == "Collapsed lung"
    assert findings["site_finding"].display == "Ours"
    assert "fibrosis" not in findings
    assert "atelectasis" in findings


def test_a_table_saved_by_a_spreadsheet_with_a_byte_order_mark_is_read(site: Path) -> None:
    (site / "findings.csv").write_text("key,display\nours,Ours\n", encoding="utf-8-sig")
    assert "ours" in Configs(site).findings()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("key,display\n,x\n", "site/findings.csv line 2: empty or missing column 'key'"),
        ("name,display\na,x\n", "site/findings.csv line 2: empty or missing column 'key'"),
        ("key,display\na,x\na,y\n", "site/findings.csv line 3: 'a' stands there twice"),
        ("key,display\na,x,y\n", "site/findings.csv line 2: more columns"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(site: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        _configs(site, findings_csv=text).findings()


def test_a_file_that_is_not_utf8_is_refused(site: Path) -> None:
    (site / "findings.csv").write_bytes(b"key,display\na,Gr\xfcn\n")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        Configs(site).findings()


def test_issuers_of_a_site_are_merged_by_id(site: Path) -> None:
    text = """
issuers:
  - {id: demo-hospital, enabled: false}
  - {id: ours, system: "urn:ours", dicom_issuer: OURS, calling_aes: [CT1, CR2]}
"""
    table = _configs(site, identity_yaml=text).identity()
    assert [issuer.id for issuer in table.issuers] == ["ours"]
    assert table.for_dicom(None, "CR2") == table.for_dicom("OURS", None) == table.for_system("urn:ours")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("issuers: [{id: a, sytem: x}]", "issuer a: system: Field required; sytem: Extra"),
        ("issuers: [{id: a, system: x, calling_aes: CT1}]", "issuer a: calling_aes"),
        ("issuers: [{id: a, system: ''}]", "issuer a: system"),
        ("issuers: [{id: a, system: x}, {id: b, system: x}]", "system 'x' stands for two issuers"),
        ("issuers: [{id: a, system: x, dicom_issuer: ROENTGEN-DEMO}]", "dicom_issuer 'ROENTGEN-DEMO' stands for two"),
        ("issuers: [{system: x}]", "entries each have an id"),
        ("issuers: [", "not YAML"),
    ],
)
def test_a_wrong_issuer_is_refused(site: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        _configs(site, identity_yaml=text).identity()


def test_an_issuer_that_is_not_listed_is_no_issuer() -> None:
    table = IdentityTable((Issuer(id="a", system="urn:a", dicom_issuer="A", calling_aes=("AE",)),))
    assert table.for_dicom("B", "AE") is None
    assert table.for_dicom("", None) is None
    assert table.for_system("") is None
    assert table.for_hl7(None) is None


def test_documents_of_a_site_are_merged_into_the_packaged_ones(site: Path) -> None:
    name = next(iter(Configs().documents("lexicon")))
    merged = _configs(site, **{f"lexicon__{name.replace('.yaml', '_yaml')}": "site_entry: 1"}).documents("lexicon")
    assert merged[name]["site_entry"] == 1
    assert len(merged[name]) > 1
    assert f"site/{name}" in Configs(site).texts("lexicon")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        Configs(tmp_path / "absent")
