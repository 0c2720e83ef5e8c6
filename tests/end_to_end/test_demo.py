"""`cds run`: ends with cards, repeats nothing, and never gives one patient's film to another."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest

from tests.end_to_end.cds_processes import DemoRun, environment, free_port, run_demo_once, wait_for

OTHER = "urn:oid:2.25.153203873041862379241874|RD-200981"


def rows(demo: DemoRun) -> dict[str, int]:
    """Return how many rows each table of the demo's store holds."""
    with contextlib.closing(sqlite3.connect(demo.folder / "roentgen.sqlite3")) as store:
        names = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")]
        return {name: store.execute(f"select count(*) from {name}").fetchone()[0] for name in names}  # noqa: S608


def shown(demo: DemoRun) -> dict[str, Any]:
    return json.loads((demo.folder / "demo-shown.json").read_text())  # type: ignore[no-any-return]


def test_the_demo_ends_well_and_prints_every_part(demo: DemoRun) -> None:
    assert demo.code == 0, demo.err
    parts = ["NOT FOR CLINICAL USE", "What the film shows", "What the report says", "Scores and risks", "Cards"]
    assert [part for part in parts if part not in demo.out] == []
    assert "\x1b" not in demo.out
    assert "Traceback" not in demo.out + demo.err


def test_the_film_came_to_one_result_by_the_arrival_path(demo: DemoRun) -> None:
    counted = rows(demo)
    assert (counted["film"], counted["imaging_result"], counted["report"], counted["report_result"]) == (1, 1, 1, 1)
    assert counted["job"] == 2
    film = shown(demo)["film"]
    assert film["status"] == "analysed"
    assert film["result"]["rejection"] is None
    assert film["result"]["view"] == "PA"


def test_the_film_shows_its_masses_where_they_are(demo: DemoRun) -> None:
    result = shown(demo)["film"]["result"]
    positive = {finding["key"] for finding in result["findings"] if finding["label"]}
    assert positive & {"lung_opacity", "lung_mass", "lung_nodule"}
    assert {heatmap["finding"] for heatmap in result["heatmaps"]} & positive
    assert "pneumothorax" not in positive


def test_the_report_and_the_words_that_said_it_are_printed(demo: DemoRun) -> None:
    assert "lung mass" in demo.out
    assert "Multiple" in demo.out
    assert "asks for CT chest" in demo.out


def test_hooks_answer_with_cards_and_orders_that_can_be_placed(demo: DemoRun) -> None:
    replies = shown(demo)["replies"]
    assert {reply["hook"] for reply in replies} == {"patient-view", "order-sign"}
    cards = [card for reply in replies for card in reply["body"]["cards"]]
    assert any("eGFR" in card["summary"] for card in cards)
    actions = [a for card in cards for s in card.get("suggestions", ()) for a in s["actions"]]
    requests = [action["resource"] for action in actions if action.get("resource")]
    assert requests
    for request in requests:
        assert request["resourceType"] == "ServiceRequest"
        assert request["subject"]["reference"] == "Patient/demo-patient"
        assert request["status"] == "draft"


def test_scores_say_what_is_missing(demo: DemoRun) -> None:
    scores = {score["name"]: score for score in shown(demo)["assessment"]["scores"]}
    assert scores["curb65"]["missing"] == ["confusion"]
    assert scores["news2"]["minimum"] < scores["news2"]["maximum"]
    assert scores["ckd_epi_2021"]["status"] == "ok"


def test_another_patient_of_the_same_name_gets_neither_film_nor_report(demo: DemoRun) -> None:
    other = shown(demo)["namesake"]
    states = {modality["name"]: modality["status"] for modality in other["modalities"]}
    assert states["imaging"] == "identity_unresolved"
    assert states["report"] == "identity_unresolved"
    assert other["findings"] == []
    assert [finding for score in other["scores"] for finding in score["inputs"] if _of_film(finding)] == []
    with contextlib.closing(sqlite3.connect(demo.folder / "roentgen.sqlite3")) as store:
        kept = store.execute("select film_id, report_id from assessment where subject = ?", (OTHER,)).fetchall()
    assert kept == [(None, None)]


def _of_film(used: dict[str, Any]) -> bool:
    return (used["evidence"] or {}).get("kind") in ("imaging", "report")


def test_a_second_start_repeats_nothing(demo: DemoRun) -> None:
    before = rows(demo)
    again = run_demo_once(demo.folder)
    assert again.code == 0, again.err
    assert "Nothing was repeated" in again.out
    assert rows(demo) == before


def test_an_interrupted_first_start_is_taken_up_and_brings_nothing_twice(demo: DemoRun) -> None:
    (demo.folder / "demo-shown.json").unlink()
    again = run_demo_once(demo.folder)
    assert again.code == 0, again.err
    counted = rows(demo)
    assert (counted["film"], counted["imaging_result"], counted["report"], counted["report_result"]) == (1, 1, 1, 1)
    assert shown(demo)["film_new"] is False


def test_a_taken_port_is_one_line_and_a_failure(demo: DemoRun) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "cds", "run", "--port", str(taken.getsockname()[1])]
        command += ["--data-dir", str(demo.folder)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "choose another with --port" in done.stderr


@pytest.fixture(scope="module")
def staying(demo: DemoRun) -> Iterator[tuple[str, str]]:
    """The demo started again to stay: its address and the key it printed."""
    port = free_port()
    command = [sys.executable, "-u", "-m", "cds", "run", "--port", str(port), "--data-dir", str(demo.folder)]
    out = demo.folder.parent / "staying.txt"
    with out.open("wb") as file:
        process = subprocess.Popen(command, env=environment(host="0.0.0.0"), stdout=file, start_new_session=True)  # noqa: S104
    try:
        wait_for(lambda: "Ctrl-C ends the demo" in out.read_text(), "the demo's addresses")
        key = out.read_text().split("password ")[1].split()[0]
        yield f"http://127.0.0.1:{port}", key
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert "The demo has ended" in out.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_demo_stays_up_on_loopback_and_asks_for_its_key(staying: tuple[str, str]) -> None:
    address, key = staying
    assert httpx.get(f"{address}/").status_code == 401
    worklist = httpx.get(f"{address}/", auth=("demo", key))
    assert "demo-hospital | RD-100417" in worklist.text
    assert httpx.get(f"{address}/docs").status_code == 200
    assert httpx.get(f"{address}/cds-services").status_code == 401


@pytest.fixture(scope="module")
def browser() -> str:
    """The Chromium of this machine."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or pytest.skip("no Chromium on this machine; Debian: apt-get install chromium")


def browse(browser: str, address: str, profile: Path, *options: str) -> str:
    """Open a page in a fresh browser and return the document it ends up with."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
    command += ["--hide-scrollbars", "--window-size=1440,1000", "--virtual-time-budget=8000", *options, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_case_page_shows_film_heatmap_and_report_in_a_browser(
    demo: DemoRun, staying: tuple[str, str], browser: str, tmp_path: Path
) -> None:
    address, key = staying
    case = "/cases/" + shown(demo)["case_url"].rsplit("/", 1)[1]
    signed_in = address.replace("://", f"://demo:{key}@") + case
    document = browse(browser, signed_in, tmp_path / "a", "--dump-dom")
    assert re.search(r'<img id="heatmap"[^>]*src="/api/v1/studies/[^"]+\.png', document)
    assert not re.search(r'<img id="heatmap"[^>]*hidden', document)
    assert re.search(r'<mark class="[^"]*present[^"]*"[^>]*data-finding="lung_mass"', document)
    browse(browser, signed_in, tmp_path / "b", f"--screenshot={tmp_path / 'case.png'}")
    picture = cv2.imread(str(tmp_path / "case.png")).astype(int)
    colour = picture.max(axis=2) - picture.min(axis=2)
    film, report = slice(20, 720), slice(780, 1420)
    grey = picture[450:900, film].mean(axis=2)
    assert grey.std() > 25, "a film has dark lungs and bright bones"
    assert (colour[350:950, film] > 60).mean() > 0.02, "a heatmap is coloured"
    assert (colour[350:950, report] > 15).mean() > 0.003, "what was read in the report is marked"
