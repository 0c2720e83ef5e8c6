"""Rules that a site has silenced: `silenced.yaml`, an entry per rule, bound to the version that people turned down.

A silenced rule goes on working: what it would have said is kept and not shown. A new version speaks again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cds.site.configuration import Configs
from cds.site.entries import put_entry, site_entries

FILE, TOP = "silenced.yaml", "silenced"
_HEAD = "# Rules that this site has silenced, by `cds feedback silence`; `enabled: false` lets one speak again.\n"


class Silenced(BaseModel):
    """One silenced rule; without `services`, in all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    rule_version: str
    services: tuple[str, ...] = ()
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class SilencedRules:
    """The silenced rules in force."""

    entries: tuple[Silenced, ...] = ()

    def silences(self, service: str, rule: str, version: str) -> bool:
        """Whether a version of a rule is kept from speaking through a service."""
        return any(
            entry.id == rule and entry.rule_version == version and (not entry.services or service in entry.services)
            for entry in self.entries
        )


def silenced_rules(configs: Configs) -> SilencedRules:
    """Return the rules that the site has silenced. Raises ConfigurationError for a bad entry."""
    return SilencedRules(tuple(site_entries(configs, FILE, TOP, Silenced)))


def silence(
    config_dir: Path, rule: str, version: str, *, services: Iterable[str] = (), by: str, reason: str, at: datetime
) -> Silenced:
    """Silence a version of a rule from the next start; a later entry of the rule replaces an earlier one."""
    entry = Silenced(id=rule, rule_version=version, services=tuple(services), by=by, reason=reason, at=at)
    put_entry(config_dir / FILE, TOP, entry.model_dump(mode="json"), head=_HEAD)
    return entry
