"""What an answer rests on and does without, as the `extension` of a response: reverse-DNS keys, objects and lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cds.assessing.assessment import AssessedPatient
from cds.hooks.choosing import Chosen
from cds.hooks.prefetch import Record
from cds.hooks.wording import plain

PREFIX = "org.roentgen-cds."
_MOST = 50


def extension_of(record: Record, assessed: AssessedPatient, chosen: Chosen) -> dict[str, Any]:
    """Return the extension of a response; what does not apply is left out."""
    assessment = assessed.assessment
    dropped = [*record.dropped.items(), *((item.reference, item.reason) for item in assessment.dropped)]
    content = {
        "modalities": [
            {"name": m.name, "status": m.status, "detail": m.detail, "at": m.at.isoformat() if m.at else None}
            for m in assessment.modalities
        ],
        "missing": [{"prefetch": key, "reason": reason} for key, reason in sorted(record.missing.items())],
        "dropped": _counted([{"reference": plain(r), "reason": plain(why)} for r, why in dropped]),
        "unmapped-orders": _counted(plain(reference) for reference in assessed.unmapped),
        "not-evaluable": _counted(
            {"rule": rule.rule_id, "missing": list(rule.missing)}
            for rule in assessment.rules
            if rule.status == "not_evaluable"
        ),
        "withheld": {
            "cap": chosen.withheld or None,
            "quiet": chosen.quiet or None,
            "silenced": len(chosen.silenced) or None,
        },
    }
    return {f"{PREFIX}{name}": value for name, value in content.items()}


def _counted(items: Iterable[Any]) -> dict[str, Any]:
    """Return the first items and how many there are, or nothing."""
    listed = list(items)
    return {"count": len(listed), "items": listed[:_MOST]} if listed else {}


def lean(value: Any) -> Any:
    """Return JSON without null, "", [] and {} inside objects, as CDS Hooks asks; `cards` and `services` stay."""
    if isinstance(value, dict):
        kept = {name: lean(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if _says_something(item) or name in ("cards", "services")}
    if isinstance(value, list):
        return [item for item in map(lean, value) if _says_something(item)]
    return value


def _says_something(item: Any) -> bool:
    return item is not None and item not in ("", [], {})
