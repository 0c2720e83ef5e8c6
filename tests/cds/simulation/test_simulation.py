"""The worklist simulator: its queue is a queue, its detector is the card's, and its policies do what they promise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cds.cli import app
from cds.errors import SimulationError
from cds.oversight.triage import Priority
from cds.simulation import POLICIES, Arrival, ArrivalModel, Detector, arrivals_of_log, simulated, turnarounds
from cds.site.configuration import Configs
from vision.analyze import MODELS


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.of_card(MODELS / "adult")


def arrivals(*minutes: float) -> list[Arrival]:
    return [Arrival(at, frozenset(), 10.0) for at in minutes]


def test_one_reader_takes_films_in_turn_and_waits_when_there_is_none() -> None:
    films = arrivals(0, 1, 2, 100)
    times = turnarounds(films, [Priority("none", (), 0)] * 4, Configs().triage(), POLICIES[0], 1)
    assert times.waited.tolist() == [0, 9, 18, 0]
    assert times.done.tolist() == [10, 19, 28, 10]


def test_two_readers_work_at_the_same_time() -> None:
    times = turnarounds(arrivals(0, 1, 2), [Priority("none", (), 0)] * 3, Configs().triage(), POLICIES[0], 2)
    assert times.waited.tolist() == [0, 0, 8]


def test_the_critical_film_is_taken_next_and_the_reading_at_hand_is_not_interrupted() -> None:
    priorities = [Priority("none", (), 0), Priority("none", (), 0), Priority("critical", (), 100)]
    times = turnarounds(arrivals(0, 1, 2), priorities, Configs().triage(), POLICIES[1], 1)
    assert times.waited.tolist() == [0, 19, 8]


def test_without_a_cap_a_film_can_be_overtaken_without_end_and_with_it_it_is_not() -> None:
    films = arrivals(0, 1, *range(2, 202, 10))
    priorities = [Priority("none", (), 0)] * 2 + [Priority("urgent", (), 10)] * 20
    policy = replace(Configs().triage(), longest_wait=timedelta(minutes=60))
    waits = {name: turnarounds(films, priorities, policy, name, 1).waited[1] for name in POLICIES[1:]}
    assert waits[POLICIES[1]] > 200
    assert waits[POLICIES[2]] <= 60


def test_first_in_first_out_waits_as_long_as_queueing_theory_says() -> None:
    """Pollaczek and Khinchine: mean wait = load / (1 - load) * (1 + spread squared) / 2 * mean reading time."""
    films = ArrivalModel({}, load=0.5, minutes=5.0, spread=0.8).draw(40_000, np.random.default_rng(3))
    times = turnarounds(films, [Priority("none", (), 0)] * len(films), Configs().triage(), POLICIES[0], 1)
    assert times.waited.mean() == pytest.approx(0.5 / 0.5 * (1 + 0.64) / 2 * 5, rel=0.08)


def test_the_detector_has_the_sensitivity_and_specificity_of_the_card(detector: Detector) -> None:
    rng = np.random.default_rng(1)
    there, absent = Arrival(0, frozenset(detector.points), 5), Arrival(0, frozenset(), 5)
    for film, wished in ((there, "sensitivity"), (absent, "specificity")):
        results = [detector.result(film, rng) for _ in range(6000)]
        for key, point in detector.points.items():
            said = np.mean([result.finding(key).label is (wished == "sensitivity") for result in results])  # type: ignore[union-attr]
            assert said == pytest.approx(getattr(point, wished), abs=0.025), (key, wished)


def test_priority_halves_the_tail_of_the_gravest_findings_and_the_cap_holds(detector: Detector) -> None:
    shares = {key: point.prevalence for key, point in detector.points.items()}
    model = ArrivalModel(shares, load=0.8)
    simulation = simulated(lambda rng: model.draw(2000, rng), detector, Configs().triage(), readers=1, runs=3, seed=7)
    rows = {(row.finding, row.policy): row for row in simulation.rows}
    assert simulation.load == pytest.approx(0.8, abs=0.05)
    assert rows["gravest findings", POLICIES[2]].ratio < 0.5
    assert rows["all films", POLICIES[2]].longest_wait <= simulation.cap_minutes
    assert rows["none of them", POLICIES[2]].ratio > 1, "someone has to wait longer"


def test_the_same_seed_gives_the_same_figures(detector: Detector) -> None:
    model = ArrivalModel({"pulmonary_edema": 0.1}, load=0.7)
    runs = [
        simulated(lambda rng: model.draw(300, rng), detector, Configs().triage(), readers=1, runs=1, seed=seed).rows
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def log_of(folder: Path, text: str) -> Path:
    path = folder / "arrivals.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_log_is_replayed_with_its_own_scores_and_times(tmp_path: Path, detector: Detector) -> None:
    log = log_of(
        tmp_path,
        "arrived_at,findings,minutes,score_pulmonary_edema\n"
        "2026-01-01T08:10:00Z,pulmonary_edema; atelectasis,4,0.93\n"
        "2026-01-01T08:00:00Z,,,\n",
    )
    films = arrivals_of_log(log, load=None, readers=1, minutes=5)
    assert [(film.at, film.minutes) for film in films] == [(0, 5), (10, 4)]
    assert films[1].findings == {"pulmonary_edema", "atelectasis"}
    finding = detector.result(films[1], np.random.default_rng(0)).finding("pulmonary_edema")
    assert finding is not None
    assert (finding.score, finding.label) == (0.93, True)
    stretched = arrivals_of_log(log, load=0.45, readers=1, minutes=5)
    assert sum(film.minutes for film in stretched) / stretched[-1].at == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("when,what\n", "needs the columns"),
        ("arrived_at,findings\nyesterday,\n2026-01-01,\n", "line 2"),
        ("arrived_at,findings,minutes\n2026-01-01,,-3\n2026-01-01,,\n", "line 2"),
        ("arrived_at,findings,score_x\n2026-01-01,,\n2026-01-02,,1.5\n", "line 3"),
        ("arrived_at,findings\n2026-01-01,\n", "fewer than two"),
        ("arrived_at,findings\n2026-01-01,\n2026-01-01,\n", "same time"),
    ],
)
def test_a_log_that_cannot_be_replayed_says_where(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SimulationError, match=named):
        arrivals_of_log(log_of(tmp_path, text), load=None, readers=1, minutes=5)


def test_the_command_prints_a_table_and_writes_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "worklist.png"
    arguments = ["simulate", "worklist", "--films", "200", "--runs", "2", "--picture", str(picture)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "priority with cap" in shown.output
    assert "pulmonary edema (urgent)" in shown.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    as_json = CliRunner().invoke(app, ["simulate", "worklist", "--films", "200", "--runs", "1", "--json"])
    assert {row["policy"] for row in json.loads(as_json.stdout)["rows"]} == set(POLICIES)


def test_a_share_that_is_none_is_refused() -> None:
    wrong = CliRunner().invoke(app, ["simulate", "worklist", "--prevalence", "pneumothorax=2"])
    assert wrong.exit_code == 2
