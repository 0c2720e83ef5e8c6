"""Files of a site that have no packaged counterpart: one list of entries with ids, read strictly, written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cds.errors import ConfigurationError
from cds.site.configuration import Configs

_Entry = TypeVar("_Entry", bound=BaseModel)


def site_entries(configs: Configs, name: str, top: str, kind: type[_Entry]) -> list[_Entry]:
    """Return the entries of a file of the site that are not taken out by `enabled: false`; none without the file.

    Raises ConfigurationError that names the entry and the field.
    """
    text = configs.site_text(name)
    found = []
    for entry in _entries(text, name, top) if text else []:
        if not entry.get("enabled", True):
            continue
        try:
            found.append(kind.model_validate({key: value for key, value in entry.items() if key != "enabled"}))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            raise ConfigurationError(f"{name}: {entry['id']}: {wrong}") from None
    return found


def put_entry(file: Path, top: str, entry: dict[str, Any], *, head: str) -> Path:
    """Put an entry into a file in place of an older one of the same id; returns the file.

    head  comment that the file begins with

    Raises ConfigurationError when what is there is not a list of entries with ids.
    """
    there = _entries(file.read_text(encoding="utf-8"), file.name, top) if file.is_file() else []
    kept = [other for other in there if other["id"] != entry["id"]]
    text = yaml.safe_dump({top: [*kept, entry]}, sort_keys=False, allow_unicode=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    written = file.with_suffix(".yaml.writing")
    written.write_text(head + text, encoding="utf-8")
    written.replace(file)
    return file


def _entries(text: str, name: str, top: str) -> list[dict[str, Any]]:
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigurationError(f"{name}: not YAML") from None
    entries = document.get(top) if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and e.get("id") for e in entries):
        raise ConfigurationError(f"{name}: expected a list {top!r} whose entries each have an id")
    if len({entry["id"] for entry in entries}) < len(entries):
        raise ConfigurationError(f"{name}: two entries have the same id")
    return entries
