"""Loads what a hospital edits: the packaged configs/ with a site's own folder laid over it, entry by entry, by id.

Hands out parsed objects; the other packages never look for files themselves.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cds.errors import ConfigurationError
from cds.oversight.triage import TriagePolicy, policy_from

_IN_WHEEL = Path(__file__).parents[1] / "configs"
_IN_CHECKOUT = Path(__file__).parents[2] / "configs"


def packaged_configs() -> Path:
    """Return the folder of the packaged configs, in a wheel or in a checkout."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT


@dataclass(frozen=True)
class FindingEntry:
    """One row of findings.csv; codes are empty where none is verified."""

    key: str
    display: str
    snomed: str = ""
    radlex: str = ""
    group: str = ""


class Issuer(BaseModel):
    """One issuer of record numbers, as DICOM and HL7 name it, and its FHIR identifier.system."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    system: str = Field(min_length=1, max_length=255)
    dicom_issuer: str | None = Field(default=None, min_length=1)
    calling_aes: tuple[str, ...] = Field(default=(), strict=False)
    hl7_authority: str | None = Field(default=None, min_length=1)
    accession_system: str | None = Field(default=None, min_length=1, max_length=255)


@dataclass(frozen=True)
class IdentityTable:
    """The issuers in force; no name stands for two of them.

    Raises ConfigurationError where two issuers share a system, a DICOM issuer, a calling AE or an HL7 authority.
    """

    issuers: tuple[Issuer, ...]

    def __post_init__(self) -> None:
        for field in ("system", "dicom_issuer", "hl7_authority", "calling_aes"):
            names = [name for issuer in self.issuers for name in _names(getattr(issuer, field))]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ConfigurationError(f"identity.yaml: {field} {twice[0]!r} stands for two issuers")

    def for_dicom(self, issuer: str | None, calling_ae: str | None) -> Issuer | None:
        """Return the issuer of a film's PatientID: by IssuerOfPatientID, else by the calling AE."""
        if issuer:
            return next((entry for entry in self.issuers if entry.dicom_issuer == issuer), None)
        return next((entry for entry in self.issuers if calling_ae and calling_ae in entry.calling_aes), None)

    def for_hl7(self, authority: str | None) -> Issuer | None:
        return next((entry for entry in self.issuers if authority and entry.hl7_authority == authority), None)

    def for_system(self, system: str | None) -> Issuer | None:
        return next((entry for entry in self.issuers if system and entry.system == system), None)


class Configs:
    """The configs in force.

    site  a hospital's own folder with the same layout as the packaged one; entries with the same id replace the
          packaged ones, `enabled: false` takes one out, new ids are added
    """

    def __init__(self, site: Path | None = None) -> None:
        if site is not None and not site.is_dir():
            raise ConfigurationError(f"config_dir {site}: no such folder")
        self.packaged = packaged_configs()
        self.site = site

    def findings(self) -> Mapping[str, FindingEntry]:
        """Return the findings table by key."""
        fields = FindingEntry.__dataclass_fields__
        return {
            key: FindingEntry(**{"display": key, **{k: v for k, v in row.items() if k in fields}})
            for key, row in self.table("findings.csv", "key").items()
        }

    def identity(self) -> IdentityTable:
        """Return who issues record numbers."""
        issuers = []
        for entry in self._merged_list("identity.yaml", "issuers"):
            try:
                issuers.append(Issuer.model_validate({k: v for k, v in entry.items() if k != "enabled"}))
            except ValidationError as error:
                wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
                raise ConfigurationError(f"identity.yaml: issuer {entry['id']}: {wrong}") from None
        return IdentityTable(tuple(issuers))

    def texts(self, folder: str) -> dict[str, str]:
        """Return file name -> YAML text of a folder of configs/; files of the site come under `site/<name>`."""
        found = {path.name: _read(path, path.name) for path in sorted((self.packaged / folder).glob("*.yaml"))}
        if self.site is not None:
            for path in sorted((self.site / folder).glob("*.yaml")):
                found[f"site/{path.name}"] = _read(path, f"site/{folder}/{path.name}")
        return found

    def documents(self, folder: str) -> dict[str, Any]:
        """Return file name -> parsed YAML of a folder, a site's file of the same name merged into the packaged one."""
        merged: dict[str, Any] = {}
        for name, text in self.texts(folder).items():
            document = _parsed(text, f"{folder}/{name}")
            plain = name.removeprefix("site/")
            merged[plain] = _overlaid(merged[plain], document) if plain in merged else document
        return merged

    def site_text(self, name: str) -> str:
        """Return the site's file of a name, or an empty text where it has none."""
        if self.site is not None and (self.site / name).is_file():
            return _read(self.site / name, f"site/{name}")
        return ""

    def packaged_text(self, name: str) -> str:
        """Return the packaged file of a name."""
        return _read(self.packaged / name, name)

    def services(self) -> list[dict[str, Any]]:
        """Return the settings of each CDS Hooks service that is not taken out, as they stand in services.yaml."""
        return self._merged_list("services.yaml", "services")

    def pacs(self) -> list[dict[str, Any]]:
        """Return the archives and modalities that are not taken out, as they stand in pacs.yaml."""
        return self._merged_list("pacs.yaml", "nodes")

    def triage(self) -> TriagePolicy:
        """Return how the worklist is put in order. Raises ConfigurationError naming the entry that is wrong."""
        return policy_from(*(self._merged_list("triage.yaml", part) for part in ("limits", "levels", "findings")))

    def table(self, name: str, key: str) -> dict[str, dict[str, str]]:
        """Return a CSV table by its key column, the site's rows over the packaged ones.

        A site's row with `false` in a column `enabled` takes the packaged row out.
        """
        rows = _rows(self.packaged_text(name), name, key) | _rows(self.site_text(name), f"site/{name}", key)
        return {value: row for value, row in rows.items() if row.pop("enabled", "").strip().lower() != "false"}

    def _merged_list(self, name: str, top: str) -> list[dict[str, Any]]:
        document = _parsed(self.packaged_text(name), name)
        over = _parsed(self.site_text(name), f"site/{name}")
        if over is not None:
            document = _overlaid(document, over)
        entries = document.get(top) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(e, dict) and e.get("id") for e in entries):
            raise ConfigurationError(f"{name}: expected a list {top!r} whose entries each have an id")
        return [entry for entry in entries if entry.get("enabled", True)]


def _names(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,) if value is not None else ()


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: not UTF-8; save it as UTF-8") from None


def _rows(text: str, name: str, key: str) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    reader = csv.DictReader(io.StringIO(text), restkey="")
    for row in reader:
        if "" in row:
            raise ConfigurationError(f"{name} line {reader.line_num}: more columns than the header")
        if not row.get(key):
            raise ConfigurationError(f"{name} line {reader.line_num}: empty or missing column {key!r}")
        if row[key] in rows:
            raise ConfigurationError(f"{name} line {reader.line_num}: {row[key]!r} stands there twice")
        rows[row[key]] = {column: value or "" for column, value in row.items()}
    return rows


def _parsed(text: str, name: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name}: not YAML: {error}") from None


def _overlaid(base: Any, over: Any) -> Any:
    """Lay `over` on `base`: mappings by key, lists of entries with an id by id, anything else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{k: _overlaid(base[k], v) if k in base else v for k, v in over.items()}}
    if (
        isinstance(base, list)
        and isinstance(over, list)
        and all(isinstance(e, dict) and "id" in e for e in base + over)
    ):
        by_id = {entry["id"]: entry for entry in base}
        for entry in over:
            by_id[entry["id"]] = {**by_id.get(entry["id"], {}), **entry}
        return list(by_id.values())
    return over
