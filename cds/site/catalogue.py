"""A site's catalogue of orders -> proposals for `orders.csv`, for a person to confirm. Nothing here maps by itself.

A proposal has to agree in what decides: modality, contrast and side are read from the name, and an orderable that
contradicts one is out, however alike the words are. The rest is likeness of words (token set ratio, 0 to 100).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz import fuzz, process

from cds.errors import ConfigurationError
from cds.site.orders import COLUMNS, OrderTable
from fusion.orderables import Orderable

LEAST_SCORE = 60.0
PROPOSAL_COLUMNS = ("system", "code", "name", "orderable", "display", "score", "others", "confirmed")
_YES, _NO = frozenset({"yes", "y", "1", "true"}), frozenset({"no", "n", "0", "false", ""})
_MODALITIES: Mapping[str, str] = {
    "CT": r"ct|cat|cta|hrct|ctpa|computed tomography|computertomographie",
    "MR": r"mr|mri|mra|magnetic resonance|kernspin",
    "XR": r"xr|x ray|xray|radiograph\w*|radiogra\w*|plain film|cxr|r[oö]ntgen|rx|dx",
    "US": r"us|ultraso\w*|sono\w*|doppler|duplex|echo\w*",
    "MG": r"mg|mammo\w*|tomosynthesis",
    "PET": r"pet|pet ct",
    "DXA": r"dxa|dexa|bone dens\w*|densitometry",
    "NM": r"nm|scintigra\w*|spect|v q|ventilation perfusion",
}
_CONTRAST: tuple[tuple[str, str], ...] = (
    ("both", r"without (and|&) with|with (and|&) without|w wo|wo w|w (and|&) wo"),
    ("without", r"without|wo|w o|non contrast|noncontrast|unenhanced|native|nativ|plain|ohne"),
    ("with", r"with( iv)? contrast|w|w contrast|contrast enhanced|enhanced|ce|iv contrast|mit km|angio\w*|cta|ctpa"),
)
_SIDES = {"left": r"left|lt|l", "right": r"right|rt|r", "bilateral": r"bilateral|both|bil"}
_PLACES = re.compile(
    r"\b(?:abdomen|ankle|arm|breast|cervical|chest|clavicle|elbow|face|femur|finger|foot|forearm|hand|head|hip|humerus|"
    r"kidneys?|knee|liver|lumbar|neck|orbits?|pelvis|ribs?|scrotum|shoulder|sinus(?:es)?|spine|thyroid|tibia|toe|wrist)\b"
)
_WORDS: Mapping[str, str] = {
    "cxr": "chest radiograph", "x ray": "radiograph", "xray": "radiograph", "xr": "radiograph", "rx": "radiograph",
    "thorax": "chest", "thoracic": "chest", "abdo": "abdomen", "abd": "abdomen", "pelv": "pelvis", "brain": "head",
    "cranial": "head", "lat": "lateral", "l spine": "lumbar spine", "c spine": "cervical spine", "port": "portable",
    "ctpa": "ct pulmonary angiography", "cta": "ct angiography", "mri": "mr", "ultrasound": "ultrasound",
    "hrct": "ct high resolution", "dexa": "bone density dxa", "mammogram": "mammography", "2v": "pa lateral",
    "2 views": "pa lateral", "wo": "without", "w": "with",
}  # fmt: skip


@dataclass(frozen=True)
class Proposal:
    """What one entry of a catalogue may be; `orderable` is empty where nothing is near enough.

    score   likeness of names, 0 to 100
    others  what else it may be, the nearest first
    """

    system: str
    code: str
    name: str
    orderable: str
    display: str
    score: float
    others: tuple[str, ...]


def proposals(catalogue: Path, table: OrderTable, *, system: str | None = None) -> list[Proposal]:
    """Return a proposal per entry of a catalogue that the table does not map yet.

    catalogue  CSV with columns code and name (or display), and system where `system` is not given

    Raises ConfigurationError naming line and column.
    """
    mapped = {code for orderable in table.orderables.values() for code in orderable.codes}
    return [
        _proposal(of, code, name, table.orderables)
        for of, code, name in _entries(catalogue, system)
        if (of, code) not in mapped
    ]


def confirmed_rows(sheet: Path, table: OrderTable) -> Iterator[dict[str, str]]:
    """Return rows for orders.csv of the proposals that a person has confirmed.

    Raises ConfigurationError for a row that is neither confirmed nor not, or names no orderable.
    """
    for line, row in _read(sheet, ("system", "code", "orderable", "confirmed")):
        answer = row["confirmed"].strip().lower()
        if answer in _NO:
            continue
        if answer not in _YES:
            raise ConfigurationError(f"{sheet.name} line {line}: column 'confirmed' must be yes, no or empty")
        if row["orderable"] not in table.orderables:
            raise ConfigurationError(f"{sheet.name} line {line}: no orderable {row['orderable']!r}")
        wanted = {"system": row["system"], "code": row["code"], "orderable": row["orderable"], "suggest": "1"}
        yield {column: wanted.get(column, "") for column in COLUMNS}


def with_rows(text: str, rows: Iterable[Mapping[str, str]]) -> str:
    """Return a site's orders.csv with rows added at its end, what is there left as it is. Raises ConfigurationError."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    if not text.strip():
        writer.writeheader()
    writer.writerows(rows)
    head = text if not text.strip() or text.endswith("\n") else f"{text}\n"
    return head + out.getvalue()


def _proposal(system: str, code: str, name: str, orderables: Mapping[str, Orderable]) -> Proposal:
    plain = _plain(name)
    words = _normal(plain)
    choices = {key: _normal(_plain(o.display)) for key, o in orderables.items() if _agrees(o, plain)}
    choices = {key: display for key, display in choices.items() if _same_place(words, display)}
    found = process.extract(words, choices, scorer=fuzz.token_sort_ratio, limit=4, score_cutoff=LEAST_SCORE)
    if not found:
        return Proposal(system, code, name, "", "", 0.0, ())
    (_, score, key), *others = found
    return Proposal(system, code, name, key, orderables[key].display, round(score, 1), tuple(o[2] for o in others))


def _agrees(orderable: Orderable, name: str) -> bool:
    """Whether nothing that the name says contradicts an orderable."""
    said = [modality for modality, words in _MODALITIES.items() if _says(name, words)]
    modality = "PET" if "PET" in said else said[0] if said else None
    imaging = orderable.modality in _MODALITIES
    if (modality is None) == imaging or (imaging and orderable.modality != modality):
        return False
    contrast = next((kind for kind, words in _CONTRAST if _says(name, words)), None)
    if imaging and modality in ("CT", "MR") and (contrast or "") != (orderable.contrast or ""):
        return False
    sides = {side for side, words in _SIDES.items() if _says(name, words)}
    return orderable.laterality is None or orderable.laterality == "bilateral" or orderable.laterality in sides


def _same_place(name: str, display: str) -> bool:
    """Whether a name and an orderable, in normal words, name a part of the body in common, where both name one."""
    said, meant = (set(_PLACES.findall(words.replace("abdominal", "abdomen"))) for words in (name, display))
    return not said or not meant or bool(said & meant)


def _says(name: str, words: str) -> bool:
    return re.search(rf"\b(?:{words})\b", name) is not None


def _plain(name: str) -> str:
    return re.sub(r"[^\w&]+", " ", name.lower()).strip()


def _normal(name: str) -> str:
    for word, meaning in _WORDS.items():
        name = re.sub(rf"\b{word}\b", meaning, name)
    return " ".join(word for word in name.split() if word not in ("of", "the", "and", "iv", "for"))


def _entries(catalogue: Path, system: str | None) -> Iterator[tuple[str, str, str]]:
    seen: set[tuple[str, str]] = set()
    for line, row in _read(catalogue, ("code",)):
        of, code, name = system or row.get("system", ""), row["code"], row.get("name") or row.get("display", "")
        if not of or not code or not name:
            raise ConfigurationError(f"{catalogue.name} line {line}: system, code and name are needed")
        if (of, code) in seen:
            raise ConfigurationError(f"{catalogue.name} line {line}: the code stands there twice")
        seen.add((of, code))
        yield of, code, name


def _read(file: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        reader = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig")))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error):
        raise ConfigurationError(f"{file.name}: not a CSV file in UTF-8") from None
    absent = [column for column in needed if column not in (reader.fieldnames or ())]
    if absent:
        raise ConfigurationError(f"{file.name}: column {absent[0]!r} is missing")
    for line, row in enumerate(rows, 2):
        yield line, {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
