"""Promotion of a silent service to a live one: an act, recorded with its figures, before the setting is changed.

The setting is `silent` of the service in the site's own services.yaml; everything else in that file is left as it is.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cds.errors import ConfigurationError
from cds.oversight.silent_report import silent_report
from cds.settings import Settings
from cds.store.tables import CardRow, FeedbackRow

ACTS = "acts.jsonl"
_SERVICES = "services.yaml"


@dataclass(frozen=True)
class Promotion:
    """Who promoted what, when, why, and what the service had said in silence until then.

    rules  rows of the silent report (`cds silent report`): the evidence
    """

    act: str
    service: str
    by: str
    reason: str
    at: str
    silent_cards: int
    silent_since: str | None
    silent_by_indicator: dict[str, int]
    feedback: dict[str, int]
    rules: list[dict[str, Any]]


def promote(settings: Settings, session: Session, service: str, *, by: str, reason: str, at: datetime) -> Promotion:
    """Record the promotion of a silent service, then make it live; it takes effect at the next start.

    Raises ConfigurationError when the site's services.yaml does not have the service silent.
    """
    file = _site_services(settings)
    text = file.read_text(encoding="utf-8")
    live = with_live_service(text, service)
    promotion = Promotion("promote", service, by, reason, at.isoformat(), **_said_in_silence(session, service))
    record_act(settings.data_dir, asdict(promotion))
    written = file.with_suffix(".yaml.writing")
    written.write_text(live, encoding="utf-8")
    written.replace(file)
    return promotion


def with_live_service(text: str, service: str) -> str:
    """Return a services.yaml in which `silent: true` of a service has become false, nothing else changed.

    Raises ConfigurationError when it has no such service, or the service is not silent.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError:
        raise ConfigurationError(f"{_SERVICES}: not YAML") from None
    for entry in _entries(root):
        fields = {key.value: value for key, value in entry.value}
        if getattr(fields.get("id"), "value", None) != service:
            continue
        silent = fields.get("silent")
        if silent is None or str(silent.value).lower() != "true":
            break
        return text[: silent.start_mark.index] + "false" + text[silent.end_mark.index :]
    raise ConfigurationError(f"{_SERVICES} of the site: {service} is not there with `silent: true`; nothing to promote")


def record_act(data_dir: Path, act: dict[str, Any]) -> None:
    """Add one line to the record of acts, on disk before this returns."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = json.dumps(act, ensure_ascii=False) + "\n"
    handle = os.open(data_dir / ACTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line.encode("utf-8"))
        os.fsync(handle)
    finally:
        os.close(handle)


def _site_services(settings: Settings) -> Path:
    if settings.config_dir is None or not (settings.config_dir / _SERVICES).is_file():
        raise ConfigurationError(f"the site has no {_SERVICES} (CDS_CONFIG_DIR): no service runs silent")
    return settings.config_dir / _SERVICES


def _entries(root: yaml.Node | None) -> list[yaml.MappingNode]:
    if not isinstance(root, yaml.MappingNode):
        return []
    lists = [value for key, value in root.value if key.value == "services" and isinstance(value, yaml.SequenceNode)]
    return [entry for found in lists for entry in found.value if isinstance(entry, yaml.MappingNode)]


def _said_in_silence(session: Session, service: str) -> dict[str, Any]:
    silent = (CardRow.service == service, CardRow.silent.is_(True))
    by_indicator = session.execute(
        select(CardRow.indicator, func.count()).where(*silent).group_by(CardRow.indicator)
    ).all()
    since = session.scalar(select(func.min(CardRow.shown_at)).where(*silent))
    outcomes = session.execute(
        select(FeedbackRow.outcome, func.count()).where(FeedbackRow.service == service).group_by(FeedbackRow.outcome)
    ).all()
    return {
        "silent_cards": sum(count for _, count in by_indicator),
        "silent_since": since.isoformat() if since is not None else None,
        "silent_by_indicator": {str(indicator): count for indicator, count in by_indicator},
        "feedback": {str(outcome): count for outcome, count in outcomes},
        "rules": [_plain(asdict(row)) for row in silent_report(session, service=service)],
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
