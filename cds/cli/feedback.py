"""What clinicians made of the cards, what silent services would have said, and the act of silencing a rule."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cds.assessing.assessment import utc_now
from cds.cli.audit_trail import recorded
from cds.cli.output import messages, print_json, screen, wrong_use
from cds.oversight.feedback_report import Rate, feedback_report
from cds.oversight.promotion import record_act
from cds.oversight.silent_report import silent_report
from cds.service import Service
from cds.settings import load_settings
from cds.site.silencing import silence

feedback_app = typer.Typer(help="What became of the cards.", no_args_is_help=True)
silent_app = typer.Typer(help="What silent services would have said.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="JSON.")]
_Days = Annotated[int | None, typer.Option(min=1, help="Only cards of the last days.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(feedback_app, name="feedback")
    app.add_typer(silent_app, name="silent")


@feedback_app.command("report")
def report(days: _Days = None, as_json: _AsJson = False) -> None:
    """Print acceptance and override rates per rule, service and role, and which rules they speak against."""
    since = utc_now() - timedelta(days=days) if days else None
    with Service(load_settings()).database.reading() as session:
        found = feedback_report(session, since=since)
    if as_json:
        print_json(asdict(found))
        return
    for row in found.answers:
        who = f"{row.rule} {row.rule_version}  {row.service}  {row.role}"
        told = f"{row.shown} shown, {row.silent} silent; accepted {_rate(row.accepted)}"
        screen.print(f"{who:64s} {told}, overridden {_rate(row.overridden)}", markup=False)
    for proposal in found.proposals:
        screen.print(f"{proposal.proposal}: {proposal.rule} {proposal.rule_version}: {proposal.why}", markup=False)
    if found.unknown_cards:
        messages.print(f"{found.unknown_cards} answers are to cards that are not in the store")


@feedback_app.command("silence")
def silence_rule(
    rule: Annotated[str, typer.Argument(help="Id of the rule.")],
    version: Annotated[str, typer.Option(help="Its version, as the report has it.")],
    by: Annotated[str, typer.Option(help="Who decides, for the record.")],
    reason: Annotated[str, typer.Option(help="On what grounds, for the record.")],
    service: Annotated[list[str] | None, typer.Option(help="Only in this service; may be repeated.")] = None,
    config_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Site's configs; default: CDS_CONFIG_DIR.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Keep a version of a rule from speaking from the next start; what it would have said is kept. An act on record."""
    settings = load_settings()
    folder = config_dir or settings.config_dir
    if folder is None:
        raise wrong_use("no folder for the site's configs: give --config-dir or set CDS_CONFIG_DIR")
    parts = Service(settings)
    with parts.database.reading() as session:
        found = feedback_report(session).proposals
    evidence = next((asdict(p) for p in found if (p.rule, p.rule_version) == (rule, version)), None)
    if evidence is None:
        raise wrong_use(f"no card of {rule} {version} was ever shown; see `cds feedback report`")
    with recorded(parts.audit, "cds feedback silence", user=by, thing=rule):
        entry = silence(folder, rule, version, services=service or (), by=by, reason=reason, at=utc_now())
        act = {"act": "silence", **entry.model_dump(mode="json"), "evidence": evidence}
        record_act(settings.data_dir, act)
    print_json(act) if as_json else messages.print(f"{rule} {version} is silent from the next start")


@silent_app.command("report")
def silent(
    service: Annotated[str | None, typer.Option(help="Only of this service.")] = None,
    days: _Days = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print what would have been shown, per rule, against feedback, verdicts and follow-ups recorded since."""
    since = utc_now() - timedelta(days=days) if days else None
    with Service(load_settings()).database.reading() as session:
        rows = silent_report(session, service=service, since=since)
    for row in rows:
        if as_json:
            print_json(asdict(row))
            continue
        screen.print(f"{row.service}  {row.rule} {row.rule_version}", markup=False)
        figures = f"{row.cards} cards of {row.patients} patients, {row.per_day} a day, warnings {_rate(row.warnings)}"
        screen.print(f"    {figures}", markup=False)
        others = {
            "accepted where live": row.accepted_live,
            "films agreed with": row.films_agreed,
            "closed without it": row.done_without,
        }
        screen.print("    " + "; ".join(f"{name} {_rate(value)}" for name, value in others.items()), markup=False)
    if not rows and not as_json:
        messages.print("nothing was kept in silence")


def _rate(rate: Rate) -> Any:
    if rate.value is None:
        return "-"
    return f"{rate.value:.0%} ({rate.low:.0%} to {rate.high:.0%}, {rate.cases} of {rate.of})"
