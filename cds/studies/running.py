"""What `cds evaluate`, `cds train` and their kin run: the evaluation and training of each package, imported when asked.

Joins the packages where a study needs two of them; the packages themselves see only tables or their own inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from cds.errors import ConfigurationError
from cds.models import Models
from cds.settings import Settings, load_settings
from cds.site.configuration import Configs

Say = Callable[[str], None]
Progress = Callable[[int, int], None]

_TRAIN_EXTRA = "training needs more packages: pip install 'roentgen-cds[train]'"
_FUSION_TASKS = ("deterioration", "severity", "findings")


def evaluated(
    subject: str, data: Path, *, model: Path | None, picture: Path | None, progress: Progress | None = None
) -> dict[str, Any]:
    """Return the figures of one part of the program on cases with known truth, and draw their picture.

    subject   vision, nlp, deterioration or severity
    model     a model folder in place of the packaged one
    progress  vision: called with (films done, films in all), model by model
    """
    figures = _vision(data, model, progress) if subject == "vision" else _EVALUATIONS[subject](data, model)
    if picture is not None:
        _draw(subject, figures, picture)
    return figures


def trained(
    package: str,
    task: str | None,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    say: Say,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model, write its folder and return its card.

    start     vision: checkpoints of another task to start from
    progress  vision: called with the steps done and those of the whole run

    Raises ConfigurationError for a task that does not exist, or when the packages for training are not installed.
    """
    if package == "nlp":
        return _trained_nlp(data, out, say)
    if package == "vision":
        return _trained_vision(task, data, out, start, say, progress)
    if task not in _FUSION_TASKS:
        raise ConfigurationError(f"fusion has the tasks {', '.join(_FUSION_TASKS)}; give one by --task")
    if task == "deterioration":
        from fusion.training.deterioration_card import train_deterioration

        return train_deterioration(data, out, say=say).model_dump(mode="json")
    if task == "severity":
        from fusion.training.severity_card import train_severity

        return train_severity(_severity_cases(data), out, say=say).model_dump(mode="json")
    from fusion.training.findings import train_findings

    return train_findings(_csv(data), out, say=say).model_dump(mode="json")


def model_sha256(settings: Settings, model: str) -> str:
    """Return the hash of a model in service or switched off.

    Raises ConfigurationError when there is none of that id, or it was refused.
    """
    rows = Models(settings, Configs(settings.config_dir)).status()
    for row in rows:
        if row["id"] == model and row["state"] != "refused":
            return str(row["sha256"])
    known = ", ".join(str(row["id"]) for row in rows if row["state"] != "refused")
    raise ConfigurationError(f"no verified model {model!r}; there are: {known or 'none'}")


def _vision(data: Path, model: Path | None, progress: Progress | None) -> dict[str, Any]:
    from vision.evaluation import evaluate

    return evaluate(data, model=model, threads=load_settings().inference_threads, progress=progress)


def _nlp(data: Path, model: Path | None) -> dict[str, Any]:
    from nlp.evaluation import evaluate_folder

    if model is not None:
        raise ConfigurationError("nlp has no model folder; its lexicon is that of the configs in force")
    settings = load_settings()
    return evaluate_folder(Models(settings, Configs(settings.config_dir)).extractor, data)


def _deterioration(data: Path, model: Path | None) -> dict[str, Any]:
    from fusion.evaluation import evaluate_deterioration

    return evaluate_deterioration(data, model=model)


def _severity(data: Path, model: Path | None) -> dict[str, Any]:
    from fusion.evaluation.severity import cases_of, evaluate_severity

    return evaluate_severity(cases_of(_severity_cases(data)), model=model)


def _severity_cases(data: Path) -> pd.DataFrame:
    """Return the cohort of a folder (cohort.csv, images/), the film that counts of each patient with its features."""
    from cds.studies.severity_table import severity_table
    from fusion.evaluation.severity import cases_of

    settings = load_settings()
    cohort = _csv(data / "cohort.csv")
    counting = cases_of(cohort, any_negative=True)[list(cohort.columns)]
    table = severity_table(counting, data / "images", Models(settings, Configs(settings.config_dir)))
    features = table[["file", *(name for name in table.columns if name not in cohort.columns)]]
    return cohort.merge(features, on="file", how="left")


def _csv(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: not a readable CSV file ({type(error).__name__})") from None


_EVALUATIONS: dict[str, Callable[[Path, Path | None], dict[str, Any]]] = {
    "nlp": _nlp,
    "deterioration": _deterioration,
    "severity": _severity,
}


def _draw(subject: str, figures: dict[str, Any], picture: Path) -> None:
    from fusion.evaluation import draw_bars, draw_calibration

    if subject == "vision":
        from vision.evaluation import picture as drawn

        picture.write_bytes(drawn(figures))
    elif subject == "nlp":
        classes = figures["openi"]["classes"] if "openi" in figures else {"negated": figures["negex"]["negated"]}
        draw_bars({name: {"value": entry["f1"]} for name, entry in classes.items()}, "F1 of report labels", picture)
    else:
        draw_calibration(figures["calibration"], f"{subject}, {figures['stays']} cases", picture)


def _trained_nlp(data: Path, out: Path, say: Say) -> dict[str, Any]:
    """Train the sentence encoder; it is not served: `benchmarks/nlp_learned.py` compares it with the rules."""
    if find_spec("torch") is None:
        raise ConfigurationError(_TRAIN_EXTRA)
    from nlp.training.encoder import train_model

    return train_model(data, out, progress=lambda step, steps, loss: say(f"step {step} of {steps}, loss {loss:.3f}"))


def _trained_vision(
    task: str | None, data: Path, out: Path, start: Path | None, say: Say, progress: Progress | None
) -> dict[str, Any]:
    if find_spec("torch") is None:
        raise ConfigurationError(_TRAIN_EXTRA)
    from vision.training.run import train_model

    try:
        card: dict[str, Any] = train_model(task, data, out, say=say, start=start, progress=progress)
    except (ValueError, FileNotFoundError) as error:
        raise ConfigurationError(str(error)) from None
    return card
