"""Running the service: run, serve, worker, receiver, migrate, backup, restore, doctor, config show, rules check."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from cds.cli.audit_trail import recorded
from cds.cli.output import EXIT_FAILURE, complain, messages, print_json, screen
from cds.errors import CdsError
from cds.operating.backup import back_up, restore_from
from cds.operating.doctor import examine
from cds.operating.logs import configure_logs, log_crashes
from cds.operating.serving import answer_until_stopped, check_safe_to_serve, serve_forever
from cds.service import Service
from cds.settings import describe_settings, load_settings
from cds.site.models import site_models
from cds.site.thresholds import site_cut_offs
from fusion import FusionError
from nlp import NlpError

config_app = typer.Typer(help="Settings.", no_args_is_help=True)
rules_app = typer.Typer(help="Rules and tables of configs/.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def add_to(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("serve")(serve)
    app.command("api", hidden=True)(api)
    app.command("worker")(worker)
    app.command("receiver")(receiver)
    app.command("migrate")(migrate)
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("doctor")(doctor)
    app.add_typer(config_app, name="config")
    app.add_typer(rules_app, name="rules")


def run(
    once: Annotated[bool, typer.Option("--once", help="Exit when everything was shown.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8000,
    data_dir: Annotated[Path, typer.Option(help="The demo's own data folder.")] = Path("demo-data"),
) -> None:
    """Show the demo: a real film, its report and a patient's record, through the real paths, on loopback only."""
    from cds.demo import run_demo

    run_demo(data_dir, port=port, once=once)


def serve() -> None:
    """Serve a site: never demo data; refuses to listen beyond loopback without authentication and TLS."""
    settings = load_settings()
    check_safe_to_serve(settings)
    configure_logs(settings.log_level)
    log_crashes()
    serve_forever(Service(settings))


def api(parent: Annotated[int, typer.Option(help="End when this process is gone.")]) -> None:
    """Answer on the port of `cds serve`, which starts as many of these as are set."""
    settings = load_settings()
    configure_logs(settings.log_level)
    log_crashes()
    answer_until_stopped(Service(settings), parent=parent)


def worker(
    parent: Annotated[int | None, typer.Option(hidden=True, help="End when this process is gone.")] = None,
) -> None:
    """Work on queued films and reports until stopped; `cds serve` starts one of its own."""
    settings = load_settings()
    configure_logs(settings.log_level)
    log_crashes()
    working = Service(settings).worker()

    def stop(_: int, __: FrameType | None) -> None:
        working.stop.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    working.run(niceness=settings.worker_niceness, parent=parent)


def receiver(
    parent: Annotated[int | None, typer.Option(hidden=True, help="End when this process is gone.")] = None,
) -> None:
    """Receive films by DICOM and messages by HL7 until stopped; `cds serve` starts one where a port is set."""
    from cds.operating.receiving import receive_until_stopped

    settings = load_settings()
    configure_logs(settings.log_level)
    log_crashes()
    receive_until_stopped(Service(settings), parent=parent)


def migrate(as_json: _AsJson = False) -> None:
    """Bring the database to the version of this program."""
    service = Service(load_settings())
    service.database.migrate()
    _done({"database": "current"}, "the database is current", as_json)


def backup(
    target: Annotated[Path, typer.Argument(dir_okay=False, help="File to write (.tar).")], as_json: _AsJson = False
) -> None:
    """Write database and films to one file while the service runs."""
    settings = load_settings()
    with recorded(Service(settings).audit, "cds backup"):
        files = back_up(settings, target)
    _done({"file": str(target), "files": files}, f"wrote {target}: {files} files", as_json)


def restore(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file of `cds backup`.")],
    as_json: _AsJson = False,
) -> None:
    """Lay a backup into an empty data folder."""
    files = restore_from(load_settings(), source)
    _done({"file": str(source), "files": files}, f"restored {files} files", as_json)


def doctor(as_json: _AsJson = False) -> None:
    """Tell what is unsafe or broken on this machine, and what would be right."""
    findings = examine(Service(load_settings()))
    for finding in findings:
        if as_json:
            print_json(finding.as_record())
        else:
            colour = {"ok": "green", "warning": "yellow", "error": "red"}[finding.level]
            screen.print(f"[{colour}]{finding.level:8s}[/] {finding.subject}: ", end="")
            screen.print(finding.message, markup=False)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(EXIT_FAILURE)


@config_app.command("show")
def show(as_json: _AsJson = False) -> None:
    """Print every setting in force and where it came from, secrets masked."""
    for row in describe_settings(load_settings()):
        if as_json:
            print_json(row)
        else:
            screen.print(f"{row['name']:24s} {row['value']}  ({row['origin']})", markup=False)


@rules_app.command("check")
def check(as_json: _AsJson = False) -> None:
    """Compile every table and rule in force, and say of each part what is wrong, with the line."""
    service = Service(load_settings())
    parts: dict[str, Callable[[], int]] = {
        "findings": lambda: len(service.configs.findings()),
        "issuers": lambda: len(service.configs.identity().issuers),
        "services": lambda: len(service.configs.services()),
        "triage": lambda: len(service.configs.triage().findings),
        "rules": lambda: len(service.rules),
        "orderables": lambda: len(service.orders.orderables),
        "thresholds": lambda: len(site_cut_offs(service.configs)),
        "models": lambda: len(site_models(service.configs)),
        "lexicon": lambda: len(service.configs.documents("lexicon")) if service.models.extractor else 0,
    }
    counts, problems = {}, {}
    for name, count in parts.items():
        try:
            counts[name] = count()
        except (CdsError, FusionError, NlpError) as error:
            problems[name] = str(error)
    if as_json:
        print_json({**counts, "problems": problems})
    else:
        screen.print(", ".join(f"{count} {name}" for name, count in counts.items()), markup=False)
        for name, problem in problems.items():
            complain(f"{name}: {problem}")
    if problems:
        raise typer.Exit(EXIT_FAILURE)


def _done(record: dict[str, Any], words: str, as_json: bool) -> None:
    print_json(record) if as_json else messages.print(words, markup=False)
