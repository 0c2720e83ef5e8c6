"""`cds simulate worklist`: what the order of the worklist does to turnaround."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cds.cli.output import messages, print_json, screen, wrong_use
from cds.simulation import POLICIES, Simulation

simulate_app = typer.Typer(help="What a setting would do, before it is set.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(simulate_app, name="simulate")


@simulate_app.callback()
def _root() -> None:
    pass


@simulate_app.command("worklist")
def worklist(
    log: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="Arrival log (CSV: arrived_at, findings, minutes)."),
    ] = None,
    load: Annotated[
        float | None, typer.Option(min=0.05, max=0.98, help="Share of reading time; default: 0.8, or as the log is.")
    ] = None,
    readers: Annotated[int, typer.Option(min=1, max=50, help="Readers at work.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.2, max=120, help="Mean time of reading one film.")] = 5.0,
    films: Annotated[int, typer.Option(min=100, max=200_000, help="Films of a run, without a log.")] = 5000,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Runs with seeds of their own.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the first run.")] = 7,
    cap_minutes: Annotated[
        float | None, typer.Option(min=1, help="Longest wait; default: that of triage.yaml.")
    ] = None,
    prevalence: Annotated[
        list[str] | None, typer.Option(help="FINDING=SHARE in place of the card's, may be repeated.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Model folder; default: the adult model.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to write a picture (PNG, SVG or PDF).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """Compare first-in-first-out, priority, and priority with a cap on waiting, by finding.

    What the model would say is drawn with the sensitivity and specificity of its card.
    """
    from dataclasses import replace
    from datetime import timedelta

    from cds.settings import load_settings
    from cds.simulation import ArrivalModel, Detector, arrivals_of_log, simulated
    from cds.site.configuration import Configs
    from vision.analyze import MODELS

    detector = Detector.of_card(model or MODELS / "adult", _shares(prevalence or []))
    policy = Configs(load_settings().config_dir).triage()
    if cap_minutes is not None:
        policy = replace(policy, longest_wait=timedelta(minutes=cap_minutes))
    if log is not None:
        replayed = arrivals_of_log(log, load=load, readers=readers, minutes=minutes)
        simulation = simulated(lambda _: replayed, detector, policy, readers=readers, runs=runs, seed=seed)
    else:
        shares = {key: point.prevalence for key, point in detector.points.items()}
        stated = ArrivalModel(shares, load=0.8 if load is None else load, readers=readers, minutes=minutes)
        simulation = simulated(
            lambda rng: stated.draw(films, rng), detector, policy, readers=readers, runs=runs, seed=seed
        )
    if as_json:
        print_json(simulation.as_record())
    else:
        _show(simulation)
    if picture is not None:
        from cds.simulation.picture import draw

        draw(simulation, picture)
        messages.print(f"wrote {picture}")


def _shares(given: list[str]) -> dict[str, float]:
    shares = {}
    for text in given:
        key, _, value = text.partition("=")
        try:
            shares[key] = float(value)
        except ValueError:
            raise wrong_use(f"--prevalence {text!r}: give FINDING=SHARE, such as pneumothorax=0.02") from None
        if not 0 < shares[key] < 1:
            raise wrong_use(f"--prevalence {text!r}: the share is between 0 and 1")
    return shares


def _show(simulation: Simulation) -> None:
    screen.print(
        f"load {simulation.load:.2f}, {simulation.runs} runs, cap {simulation.cap_minutes:.0f} min; turnaround in "
        "minutes; ratio: of the 90th percentile to that of first in, first out",
        soft_wrap=True,
    )
    screen.print(f"{'':20s} {'films':>6s} {'median':>7s} {'p90':>6s} {'ratio':>22s} {'longest wait':>13s}")
    before = None
    for row in simulation.rows:
        if row.finding != before:
            screen.print(f"{row.finding.replace('_', ' ')}{f' ({row.level})' if row.level else ''}", style="bold")
            before = row.finding
        ratio = f"{row.ratio:.2f} ({row.ratio_low:.2f} to {row.ratio_high:.2f})"
        screen.print(
            f"  {row.policy:18s} {row.films:6.0f} {row.median:7.0f} {row.p90:6.0f} "
            f"{'' if row.policy == POLICIES[0] else ratio:>22s} {row.longest_wait:13.0f}",
            markup=False,
        )
