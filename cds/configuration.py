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

from cds.errors import ConfigurationError

_IN_WHEEL = Path(__file__).parent / "configs"
_IN_CHECKOUT = Path(__file__).parent.parent / "configs"


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


@dataclass(frozen=True)
class Issuer:
    """One issuer of record numbers, as DICOM and HL7 name it, and its FHIR identifier.system."""

    id: str
    system: str
    dicom_issuer: str | None = None
    calling_aes: tuple[str, ...] = ()
    hl7_authority: str | None = None
    accession_system: str | None = None


@dataclass(frozen=True)
class IdentityTable:
    issuers: tuple[Issuer, ...]

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
        rows = self.table("findings.csv", "key")
        fields = FindingEntry.__dataclass_fields__
        return {key: FindingEntry(**{k: v for k, v in row.items() if k in fields}) for key, row in rows.items()}

    def identity(self) -> IdentityTable:
        """Return who issues record numbers."""
        entries = self._merged_list("identity.yaml", "issuers")
        try:
            return IdentityTable(
                tuple(
                    Issuer(**{**entry, "calling_aes": tuple(entry.get("calling_aes", ()))})
                    for entry in ({k: v for k, v in e.items() if k != "enabled"} for e in entries)
                )
            )
        except TypeError as error:
            raise ConfigurationError(f"identity.yaml: {error}; see the packaged file for the fields") from None

    def texts(self, folder: str) -> dict[str, str]:
        """Return file name -> YAML text of a folder of configs/; files of the site come under `site/<name>`."""
        found = {
            path.name: path.read_text(encoding="utf-8") for path in sorted((self.packaged / folder).glob("*.yaml"))
        }
        if self.site is not None:
            for path in sorted((self.site / folder).glob("*.yaml")):
                found[f"site/{path.name}"] = path.read_text(encoding="utf-8")
        return found

    def documents(self, folder: str) -> dict[str, Any]:
        """Return file name -> parsed YAML of a folder; a site's file of the same name is merged into the packaged one."""
        merged: dict[str, Any] = {}
        for name, text in self.texts(folder).items():
            document = _parsed(text, f"{folder}/{name}")
            plain = name.removeprefix("site/")
            merged[plain] = _overlaid(merged[plain], document) if plain in merged else document
        return merged

    def text(self, name: str) -> str:
        """Return one packaged file as text, or the site's file of that name."""
        if self.site is not None and (self.site / name).is_file():
            return (self.site / name).read_text(encoding="utf-8")
        return (self.packaged / name).read_text(encoding="utf-8")

    def table(self, name: str, key: str) -> dict[str, dict[str, str]]:
        """Return a CSV table by its key column, the site's rows over the packaged ones."""
        rows: dict[str, dict[str, str]] = {}
        for folder in (self.packaged, self.site):
            if folder is None or not (folder / name).is_file():
                continue
            for line, row in enumerate(csv.DictReader(io.StringIO((folder / name).read_text(encoding="utf-8"))), 2):
                if not row.get(key):
                    raise ConfigurationError(f"{name} line {line}: empty or missing column {key!r}")
                rows[row[key]] = {k: v or "" for k, v in row.items() if k}
        return rows

    def _merged_list(self, name: str, top: str) -> list[dict[str, Any]]:
        document = _parsed((self.packaged / name).read_text(encoding="utf-8"), name)
        if self.site is not None and (self.site / name).is_file():
            document = _overlaid(document, _parsed((self.site / name).read_text(encoding="utf-8"), f"site/{name}"))
        entries = document.get(top) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(e, dict) and e.get("id") for e in entries):
            raise ConfigurationError(f"{name}: expected a list {top!r} whose entries each have an id")
        return [entry for entry in entries if entry.get("enabled", True)]


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
