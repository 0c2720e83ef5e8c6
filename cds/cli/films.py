"""`cds analyze` and `cds quality`: radiographs from files."""

from __future__ import annotations

import csv
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cds.cli.output import EXIT_SOME_REJECTED, messages, print_json, progress_bar, screen, wrong_use
from cds.models import Models
from cds.settings import load_settings
from cds.site.configuration import Configs
from vision import Technique, analyze_files, heatmap_png, masks_png
from vision.result import ImagingResult

_Files = Annotated[list[Path], typer.Argument(help="DICOM, PNG or JPEG files, or folders of them.")]


class Sex(StrEnum):
    """Of a patient, where the film does not say."""

    MALE = "male"
    FEMALE = "female"


class View(StrEnum):
    """Of a film, where it does not say."""

    PA = "PA"
    AP = "AP"
    LATERAL = "lateral"


def add_to(app: typer.Typer) -> None:
    app.command("analyze")(analyze)
    app.command("quality")(quality)


def analyze(
    images: _Files,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    age: Annotated[float | None, typer.Option(min=0, max=130, help="Years; for films without metadata.")] = None,
    sex: Annotated[Sex | None, typer.Option(case_sensitive=False, help="For films without metadata.")] = None,
    view: Annotated[View | None, typer.Option(case_sensitive=False, help="For films without metadata.")] = None,
    body_part: Annotated[str | None, typer.Option(help="As DICOM BodyPartExamined, such as CHEST.")] = None,
    heatmaps: Annotated[Path | None, typer.Option(help="Folder for pictures: FILM.HASH.FINDING.png.")] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder for FILM.png, on the film's pixels: 1 right lung, 2 left lung, 3 heart."),
    ] = None,
) -> None:
    """Analyse radiographs: findings with scores, regions, measurements, quality; or the reason for none.

    A PNG or JPEG carries no age: without --age an adult is assumed, and said so.
    """
    settings = load_settings()
    analyzer = Models(settings, Configs(settings.config_dir)).analyzer
    for cut_off in analyzer.cut_offs():
        if cut_off["reason"] is not None:
            messages.print(escape(f"threshold of {cut_off['finding']} not in force: {cut_off['reason']}"))
    technique = Technique(age_years=age, sex=sex, view=view, body_part=body_part, assume_adult=age is None)
    rejected, written = 0, set[str]()
    for path, result in analyze_files(analyzer, _expanded(images), technique):
        rejected += result.rejection is not None
        if as_json:
            print_json(as_record(path, result))
        else:
            _show(path, result)
        if heatmaps is not None:
            _write_heatmaps(heatmaps, path, result)
        if masks is not None:
            _write_masks(masks, path, result, written)
    if rejected:
        raise typer.Exit(EXIT_SOME_REJECTED)


def as_record(path: Path, result: ImagingResult) -> dict[str, Any]:
    """Return the published JSON of one film."""
    if result.rejection is not None:
        return {"file": str(path), "rejected": result.rejection.reason, "code": result.rejection.code}
    return {
        "file": str(path),
        "findings": {f.key: f.probability if f.probability is not None else f.score for f in result.findings},
        "scores": {f.key: f.score for f in result.findings},
        "labels": {f.key: f.label for f in result.findings},
        "not_applicable": result.not_applicable,
        "view": result.view,
        "population": result.population,
        "population_source": result.population_source,
        "quality": result.quality,
        "measurements": [m.model_dump() for m in result.measurements],
        "regions": [r.model_dump() for r in result.regions],
        "model": [m.model_dump() for m in result.models],
    }


def quality(
    folder: Annotated[Path, typer.Argument(help="Folder of films.")],
    table: Annotated[Path | None, typer.Option(help="Where to write the table (CSV), with all its columns.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to write the picture (PNG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all columns.")] = False,
) -> None:
    """Show the data hygiene of a folder: a line for each file, the whole table as CSV, and a picture of it."""
    from vision.quality import quality_picture, quality_summary, quality_table

    with progress_bar("reading") as progress:
        rows = quality_table(_expanded([folder]), progress)
    for row in rows:
        print_json(row) if as_json else screen.print(_quality_line(row), markup=False, soft_wrap=True)
    messages.print(quality_summary(rows))
    if table is not None:
        with table.open("w", encoding="utf-8", newline="") as file:
            columns = dict.fromkeys(name for row in rows for name in row)
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(rows)
        messages.print(f"wrote {table}")
    if picture is not None:
        picture.write_bytes(quality_picture(rows))
        messages.print(f"wrote {picture}")


def _quality_line(row: dict[str, Any]) -> str:
    """Return one file of the hygiene table for a person."""
    said = [row["reason"]]
    if row["readable"]:
        header = " ".join(row[name] for name in ("modality", "body_part", "view", "age_group") if row[name])
        said += [f"{row['rows']} x {row['columns']}, {row['bits']} bit", header or "no header"]
    if row["duplicate_of"]:
        said.append(f"the same bytes as {Path(row['duplicate_of']).name}")
    return f"{Path(row['file']).name:32s} {row['gate']:18s} {'; '.join(filter(None, said))}"


def _expanded(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        elif path.is_file():
            files.append(path)
        else:
            raise wrong_use(f"{path}: no such file or folder")
    return files


def _show(path: Path, result: ImagingResult) -> None:
    if result.rejection is not None:
        screen.print(f"[bold]{escape(path.name)}[/]  [red]rejected[/]: {escape(result.rejection.reason)}")
        return
    assumed = ", assumed" if result.population_source == "assumed" else ""
    screen.print(f"[bold]{escape(path.name)}[/]  {result.view}, {result.population}{assumed}")
    for finding in sorted(result.findings, key=lambda f: -f.score):
        kind = "score" if finding.probability is None else "probability"
        value = finding.score if finding.probability is None else finding.probability
        mark = {True: "[red]above[/]", False: "below", None: "no cut-off"}[finding.label]
        places = [f"{r.side or ''} {r.zone or ''}".strip() for r in result.regions if r.finding == finding.key]
        where = ", ".join(dict.fromkeys(filter(None, places)))
        screen.print(f"  {finding.key:24s} {kind} {value:.2f}  {mark}  {where}")
    for key, reason in result.not_applicable.items():
        screen.print(f"  {key:24s} not applicable: {reason}")


def _write_masks(folder: Path, path: Path, result: ImagingResult, written: set[str]) -> None:
    """Write what was outlined on a film; a second film of the same name gets its hash into the name."""
    if not result.masks or result.rows is None or result.columns is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    name = path.stem if path.stem not in written else f"{path.stem}.{result.image_sha256[:8]}"
    written.add(name)
    (folder / f"{name}.png").write_bytes(masks_png(result.masks, result.rows, result.columns))


def _write_heatmaps(folder: Path, path: Path, result: ImagingResult) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for heatmap in result.heatmaps:
        name = f"{path.stem}.{result.image_sha256[:8]}.{heatmap.finding}.png"
        (folder / name).write_bytes(heatmap_png(heatmap, 512, 512))
