"""Models studied: evaluate and train; and a site's acts: calibrate, audit, promote."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cds.cli.output import messages, print_json, progress_bar, screen, wrong_use

_AsJson = Annotated[bool, typer.Option("--json", help="JSON.")]
_Cases = Annotated[
    Path,
    typer.Argument(
        exists=True, help="CSV with columns score, label (0 or 1); or a folder of films, images/ and labels.csv."
    ),
]


class Subject(StrEnum):
    """What can be evaluated."""

    VISION = "vision"
    NLP = "nlp"
    DETERIORATION = "deterioration"
    SEVERITY = "severity"


class Package(StrEnum):
    """What can be trained."""

    VISION = "vision"
    NLP = "nlp"
    FUSION = "fusion"


def add_to(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)
    app.command("train")(train)
    app.command("calibrate")(calibrate)
    app.command("audit")(audit)
    app.command("promote")(promote)


def evaluate(
    subject: Annotated[Subject, typer.Argument(help="What to measure.")],
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of cases with known truth.")],
    model: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Model folder; default: packaged.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to write a picture (PNG, SVG or PDF).")] = None,
    as_json: _AsJson = False,
) -> None:
    """Measure a part of the program on cases with known truth: metrics with 95 % intervals."""
    from cds.studies.running import evaluated

    with progress_bar("measuring") as progress:
        figures = evaluated(subject.value, data, model=model, picture=picture, progress=progress)
    print_json(figures) if as_json else _show(figures)
    if picture is not None:
        messages.print(f"wrote {picture}")


def train(
    package: Annotated[Package, typer.Argument(help="What to train.")],
    data: Annotated[Path, typer.Option(exists=True, help="Folder of the data; for findings, a CSV.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Model folder to write.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="vision: adult, paediatric, anatomy, fracture, mammography; fusion: deterioration, severity, findings."
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="vision: checkpoints of another task to start from."),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Train a model on a hospital's own data and write its folder: weights, licence, card.

    For vision DATA has images/ and labels.csv: file, patient, and 1, 0 or nothing for each finding; it needs
    `pip install 'roentgen-cds\\[train]'`. A run that was cut off goes on where it was.
    """
    from cds.studies.running import trained

    with progress_bar("training") as bar:
        progress = bar if messages.is_terminal else None
        card = trained(package.value, task, data, out, start=start, say=messages.print, progress=progress)
    messages.print(f"wrote {out}")
    print_json(card) if as_json else _show(card)


def calibrate(
    cases: _Cases,
    finding: Annotated[str, typer.Option(help="Finding key, such as tuberculosis.")],
    model: Annotated[str, typer.Option(help="Id of the model that gave the scores, as `cds doctor` names it.")],
    sensitivity: Annotated[float | None, typer.Option(min=0.01, max=1, help="Wished sensitivity.")] = None,
    specificity: Annotated[float | None, typer.Option(min=0.01, max=1, help="Wished specificity.")] = None,
    institution: Annotated[
        str | None, typer.Option(help="For films of this Institution Name only, as their header has it.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="For films of this Manufacturer's Model Name only, as their header has it.")
    ] = None,
    config_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Site's configs; default: CDS_CONFIG_DIR.")
    ] = None,
    accept_few: Annotated[bool, typer.Option("--accept-few", help="Write it in spite of few patients.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Choose this site's threshold of a finding from scored cases; write it to thresholds.yaml, bound to the model.

    Films of a folder are scored here, by the models in service; labels.csv has file, patient and the finding. In a CSV,
    scores are those of `scores` in `cds analyze --json`, and a column `patient` makes the intervals those of patients.
    """
    from cds.assessing.assessment import utc_now
    from cds.settings import load_settings
    from cds.site.thresholds import threshold_entry, write_threshold
    from cds.studies.running import model_sha256
    from fusion.evaluation.operating_points import FEWEST, operating_point
    from fusion.evaluation.subgroups import scores_and_labels

    if (sensitivity is None) == (specificity is None):
        raise wrong_use("give either --sensitivity or --specificity")
    settings = load_settings()
    folder = config_dir or settings.config_dir
    if folder is None:
        raise wrong_use("no folder for the site's configs: give --config-dir or set CDS_CONFIG_DIR")
    label, score, patients = scores_and_labels(_scored(cases, finding, model))
    point = operating_point(
        label,
        score,
        aim="sensitivity" if sensitivity is not None else "specificity",
        wished=sensitivity if sensitivity is not None else specificity or 0.0,
        patients=patients,
    )
    sha256 = model_sha256(settings, model)
    entry = threshold_entry(finding, model, sha256, point, utc_now(), institution=institution, device=device)
    print_json(entry) if as_json else _show(entry)
    if point.few and not accept_few:
        raise wrong_use(
            f"{point.positives} positive and {point.negatives} negative cases, fewer than {FEWEST} of a class: not "
            "written; --accept-few writes it all the same"
        )
    messages.print(f"wrote {write_threshold(folder, entry)}")


def audit(
    cases: _Cases,
    group: Annotated[
        list[str] | None, typer.Option(help="Column to look at, may be repeated; default: all others.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Cut-off (at or above is positive), for false negatives.")
    ] = None,
    finding: Annotated[str | None, typer.Option(help="Finding key; of a folder of films.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Audit a score by subgroup: AUROC, calibration and false negative rate, each with its 95 % interval.

    Films of a folder are scored here, by the models in service, and looked at by sex, age and view.
    """
    from fusion.evaluation.subgroups import audit as audited

    if cases.is_dir() and finding is None:
        raise wrong_use("give the --finding whose scores of the films are to be audited")
    for row in audited(_scored(cases, finding or "", None), threshold=threshold, groups=group):
        print_json(row) if as_json else screen.print(_audit_line(row), markup=False, soft_wrap=True)


def promote(
    subject: Annotated[
        str, typer.Argument(help="Id of a silent service, as services.yaml has it, or of a model: vision-fracture.")
    ],
    by: Annotated[str, typer.Option(help="Who decides, for the record.")],
    reason: Annotated[str, typer.Option(help="On what grounds, for the record.")],
    folder: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Of a model of the site's own; default: packaged.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Make a silent service live, or put a model into service, from the next start.

    The act is recorded: of a service with what it had said in silence, of a model with the figures of its card.
    """
    from cds.assessing.assessment import utc_now
    from cds.cli.audit_trail import recorded
    from cds.oversight.promotion import promote as promoted
    from cds.service import Service
    from cds.settings import load_settings
    from cds.site.models import is_model, promote_model

    settings = load_settings()
    parts = Service(settings)
    with parts.database.reading() as session, recorded(parts.audit, "cds promote", user=by, thing=subject):
        if is_model(subject):
            record = asdict(promote_model(settings, subject, folder, by=by, reason=reason, at=utc_now()))
        else:
            record = asdict(promoted(settings, session, subject, by=by, reason=reason, at=utc_now()))
    print_json(record) if as_json else _show(record)


def _scored(cases: Path, finding: str, model: str | None) -> Any:
    """Return a table of scored cases: as it is given, or of the films of a folder."""
    if cases.is_file():
        return _read_csv(cases)
    from cds.models import Models
    from cds.settings import load_settings
    from cds.site.configuration import Configs
    from cds.studies.scored_films import scored_films

    settings = load_settings()
    table, without = scored_films(cases, finding, Models(settings, Configs(settings.config_dir)).analyzer, model)
    if without:
        messages.print(f"{without} films gave no score of {finding} and are left out; `cds analyze` says why")
    return table


def _read_csv(path: Path) -> Any:
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise wrong_use(f"{path}: not a CSV file in UTF-8") from None


def _audit_line(row: dict[str, Any]) -> str:
    name = f"{row['group']} = {row['value']}" if row["group"] != row["value"] else str(row["value"])
    head = f"{name:28s} {row['count']:6d} ({row['positives']} positive)"
    if "note" in row:
        return f"{head}  {row['note']}"
    parts = [f"AUROC {_interval(row['auroc'])}", f"observed {row['observed']:.3f}, mean score {row['mean_score']:.3f}"]
    if "calibration_error" in row:
        parts.append(f"calibration error {_interval(row['calibration_error'])}")
    if "false_negative_rate" in row:
        parts.append(f"missed {_interval(row['false_negative_rate'])}")
    return f"{head}  " + "  ".join(parts)


def _interval(entry: dict[str, float]) -> str:
    return f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"


def _show(figures: Any, depth: int = 0) -> None:
    """Print nested figures for a person: one line each, intervals beside their value."""
    for name, value in figures.items():
        indent = "  " * depth
        if isinstance(value, dict) and {"value", "low", "high"} <= value.keys():
            screen.print(f"{indent}{name}: {_interval(value)}", markup=False)
        elif isinstance(value, dict):
            screen.print(f"{indent}{name}", markup=False)
            _show(value, depth + 1)
        elif not isinstance(value, list) or all(isinstance(part, str | int | float) for part in value):
            screen.print(f"{indent}{name}: {value}", markup=False)
