"""The command line: exit status 0, 1, 2 and 3, JSON Lines in and out, and one line instead of a trace."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

import cds.cli
from cds.cli import documents
from cds.cli.documents import read_documents, read_texts

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

PLANTED = "PLANTED^NAME"
LONG_AGO = "2020-01-01 00:00:00.000000"


class Done(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.upper().startswith("CDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("cds.cli.configure_logs", lambda _: None)
    return


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Run the command line in this process and return its status and what it wrote."""

    def call(*arguments: str | Path, stdin: str | bytes = b"") -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["cds", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        with pytest.raises(SystemExit) as ended:
            cds.cli.main()
        out, err = capsysbinary.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0 if code is None else 1, out.decode(), err.decode())

    return call


# input of the batch verbs


def _stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def _shape(items: list[tuple[int, Any]]) -> list[Any]:
    return [(number, "wrong" if isinstance(item, ValueError) else item) for number, item in items]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n \n", []),
        (b'{"a": 1}', [(1, {"a": 1})]),
        (b'{"a": 1}\n{"a": 2}\n', [(1, {"a": 1}), (2, {"a": 2})]),
        (b'\n\n{"a": 1}\r\n\n{"a": 2}', [(3, {"a": 1}), (5, {"a": 2})]),
        (b'{\n "a": 1\n}\n', [(1, {"a": 1})]),
        (b'[{"a": 1}, {"a": 2}]', [(1, {"a": 1}), (2, {"a": 2})]),
        (b'[\n{"a": 1},\n{"a": 2}\n]', [(1, {"a": 1}), (2, {"a": 2})]),
        (b'{"a": 1}\nnonsense\n{"a": 3}', [(1, {"a": 1}), (2, "wrong"), (3, {"a": 3})]),
        (b'nonsense\n{"a": 2}', [(1, "wrong"), (2, {"a": 2})]),
        (b'{"a": NaN}', [(1, "wrong")]),
        (b'{"a": "\xe2\x80\xa8\xc2\x85"}\n{"a": 2}', [(1, {"a": "\u2028\x85"}), (2, {"a": 2})]),
        (b"[" * 100_000, [(1, "wrong")]),
    ],
)
def test_json_and_json_lines_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, data: bytes, expected: list[tuple[int, Any]]
) -> None:
    _stdin(monkeypatch, data)
    assert _shape(list(read_documents("-"))) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"No mass.", [(1, {"id": None, "text": "No mass."})]),
        (b"\n\r\n No mass.\r\n", [(1, {"id": None, "text": "\n\r\n No mass.\r\n"})]),
        (b"[HISTORY] none\n[FINDINGS] none", [(1, {"id": None, "text": "[HISTORY] none\n[FINDINGS] none"})]),
        (b"Gr\xfc\xdfe", [(1, {"id": None, "text": "Gr\udcfc\udcdfe"})]),
        (b'{"id": 1, "text": "a"}\n{broken\n', [(1, {"id": 1, "text": "a"}), (2, "wrong")]),
        (b'{broken\n{"id": 2, "text": "b"}\n', [(1, "wrong"), (2, {"id": 2, "text": "b"})]),
        (b'[{"text": "a"}]', [(1, {"text": "a"})]),
        (b"", [(1, {"id": None, "text": ""})]),
    ],
)
def test_a_text_is_kept_as_it_is_and_json_is_never_taken_for_text(
    monkeypatch: pytest.MonkeyPatch, data: bytes, expected: list[tuple[int, Any]]
) -> None:
    _stdin(monkeypatch, data)
    assert _shape(list(read_texts("-"))) == expected


def test_a_stream_is_read_a_line_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            line = b'{"text": "x"}\n'
            buffer[: len(line)] = line
            return len(line)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless(), 14)))
    for read in (read_documents, read_texts):
        stream = read("-")
        assert [next(stream)[0] for _ in range(1000)] == list(range(1, 1001))


def test_an_overlong_line_is_rejected_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST_DOCUMENT", 40)
    _stdin(monkeypatch, b'{"a": 1}\n{"a": "' + b"x" * 200 + b'"}\n{"a": 3}\n')
    assert _shape(list(read_documents("-"))) == [(1, {"a": 1}), (2, "wrong"), (3, {"a": 3})]
    _stdin(monkeypatch, b"No mass.\n" * 20)
    assert _shape(list(read_texts("-"))) == [(1, "wrong")]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=80), st.text(alphabet='{}[]":,1a\n\r ', max_size=40).map(str.encode)))
def test_any_bytes_are_read(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    for read in (read_documents, read_texts):
        _stdin(monkeypatch, data)
        for _, item in read("-"):
            json.dumps(item if not isinstance(item, ValueError) else str(item))


# score


def test_scores_are_listed_with_their_inputs(run: Any) -> None:
    names = [row["name"] for row in run("score", "--list", "--json").records]
    assert {"curb65", "news2", "qsofa"} <= set(names)
    listed = run("score", "--list").out
    assert "respiratory_rate (/min)" in listed


def test_a_score_of_many_gives_one_object_each_and_3_when_some_are_rejected(run: Any) -> None:
    lines = '{"age": 80}\n{"age": "PLANTED^NAME"}\nnonsense\n{"age": 30}\n'
    done = run("score", "curb65", "--json", stdin=lines)
    assert done.status == 3
    assert ["rejected" in record for record in done.records] == [False, True, True, False]
    assert PLANTED not in done.out + done.err
    assert run("score", "curb65", "--json", stdin='{"age": 80}').status == 0


def test_an_unknown_score_is_wrong_use(run: Any) -> None:
    assert run("score", "none").status == 2
    assert run("score", "curb65", "absent.json").status == 2
    assert run("nonsense").status == 2


# extract


def test_reports_are_extracted_line_by_line(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "reports.jsonl"
    lines = [
        {"id": "a", "text": "IMPRESSION: Small right pneumothorax.", "context": {"age": 40}},
        {"id": "b", "text": "x", "context": {"agee": 40}},
        {"id": "c"},
        {"id": "d", "text": "No pneumothorax."},
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    done = run("extract", file, "--json")
    assert done.status == 3
    assert [(r["id"], "rejected" in r) for r in done.records] == [("a", False), ("b", True), (None, True), ("d", False)]
    finding = done.records[0]["findings"][0]
    assert lines[0]["text"][finding["start"] : finding["end"]] == "pneumothorax"  # type: ignore[index]
    assert done.records[3]["labels"].get("pneumothorax", 0) == 0


def test_a_text_is_shown_with_its_words_and_no_markup_of_it_is_obeyed(run: Any) -> None:
    done = run("extract", "--explain", stdin="IMPRESSION: Left [/red] pleural effusion [bold].")
    assert done.status == 0
    assert "“pleural effusion”" in done.out


def test_words_that_are_no_utf8_come_out_as_they_came_in(run: Any) -> None:
    done = run("extract", "--json", stdin='{"id": "\\ud800", "text": "No pneumothorax."}')
    assert done.records[0]["id"] == "\ud800"


# risk


def _bundle(tmp_path: Path, *resources: dict[str, Any]) -> Path:
    file = tmp_path / "bundle.json"
    entries = [{"resource": resource} for resource in resources]
    file.write_text(json.dumps({"resourceType": "Bundle", "entry": entries}), encoding="utf-8")
    return file


PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "birthDate": "1950-01-02",
    "gender": "female",
    "name": [{"text": PLANTED}],
}


def test_the_risk_of_a_bundle_is_assessed_with_a_report(run: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("IMPRESSION: Large right pneumothorax.", encoding="utf-8")
    bundle = _bundle(tmp_path, PATIENT)
    done = run("risk", bundle, "--report", report, "--at", "2026-03-01T08:00:00+01:00", "--json")
    assert done.status == 0
    (assessment,) = done.records
    assert "pneumothorax" in [view["key"] for view in assessment["findings"]]
    assert assessment["at"].startswith("2026-03-01T08:00:00+01:00") or assessment["at"].startswith("2026-03-01T07:00")
    assert PLANTED not in done.out
    assert "pneumothorax" in run("risk", bundle, "--report", report).out


def test_a_bundle_that_cannot_be_assessed_is_rejected_without_quoting_it(run: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_bytes(b'{"PLANTED^NAME": \xff')
    for bundle in (broken, _bundle(tmp_path), _bundle(tmp_path, PATIENT, {**PATIENT, "id": "q"})):
        done = run("risk", bundle, "--json")
        assert (done.status, "rejected" in done.records[0]) == (3, True)
        assert PLANTED not in done.out + done.err
    assert run("risk", _bundle(tmp_path, PATIENT), "--at", "soon").status == 2


def test_a_table_that_is_none_is_wrong_use(run: Any, tmp_path: Path) -> None:
    (tmp_path / "events.parquet").write_bytes(b"nothing")
    assert run("predict", "deterioration", tmp_path / "events.parquet").status == 2


# analyze


def test_films_that_cannot_be_used_are_rejected_with_the_reason_and_never_a_number(run: Any, tmp_path: Path) -> None:
    film = Path(get_testdata_file("RG1_J2KI.dcm"))
    (tmp_path / "[bold]cut.dcm").write_bytes(film.read_bytes()[:40_000])
    (tmp_path / "note.txt").write_text("no film", encoding="utf-8")
    done = run("analyze", get_testdata_file("RG3_J2KI.dcm"), get_testdata_file("CT_small.dcm"), tmp_path, "--json")
    assert done.status == 3
    assert len(done.records) == 4
    for record in done.records:
        assert set(record) == {"file", "rejected", "code"}, record
    assert "rejected" in run("analyze", tmp_path).out
    assert run("analyze", tmp_path / "absent.png").status == 2
    assert run("analyze", tmp_path, "--view", "sideways").status == 2
    assert run("analyze", tmp_path, "--age", "-1").status == 2


def test_a_cut_off_of_other_weights_is_said_where_films_are_analysed(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"id": "t", "finding": "tuberculosis", "model": "vision-adult", "model_sha256": "ab" * 32, "value": 0.4}
    (tmp_path / "thresholds.yaml").write_text(json.dumps({"thresholds": [entry]}), "utf-8")
    monkeypatch.setenv("CDS_CONFIG_DIR", str(tmp_path))
    assert "tuberculosis not in force: it was calibrated on other weights" in run(
        "analyze", get_testdata_file("RG3_J2KI.dcm")
    ).err.replace("\n", " ")


def test_quality_has_a_line_for_each_file_and_the_whole_table_as_csv(run: Any, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "limb.dcm").write_bytes(Path(get_testdata_file("RG3_J2KI.dcm")).read_bytes())
    (tmp_path / "films" / "note.txt").write_text("not a film")
    done = run("quality", tmp_path / "films", "--table", tmp_path / "q.csv", "--picture", tmp_path / "q.png")
    assert done.status == 0
    limb, note = done.out.splitlines()
    assert "wrong_body_part" in limb
    assert "1760 x 1760" in limb
    assert "neither DICOM, PNG nor JPEG" in note
    assert "2 files, 0 accepted" in done.err
    rows = list(csv.DictReader((tmp_path / "q.csv").read_text("utf-8").splitlines()))
    assert [row["code"] for row in rows] == ["wrong_body_part", "not_an_image"]
    assert float(rows[0]["sharpness"]) > 0
    assert rows[1]["sharpness"] == ""
    assert (tmp_path / "q.png").read_bytes().startswith(b"\x89PNG")


def test_the_outlines_of_a_film_are_written_on_its_own_pixels(run: Any, tmp_path: Path) -> None:
    film = Path(get_testdata_file("RG1_J2KI.dcm"))
    (record,) = run("analyze", film, "--json", "--masks", tmp_path / "masks").records
    labels = cv2.imdecode(np.frombuffer((tmp_path / "masks" / "RG1_J2KI.png").read_bytes(), np.uint8), -1)
    assert labels.shape == (1955, 1841)
    assert set(np.unique(labels)) <= {0, 1, 2, 3}
    measured = {measurement["name"]: measurement["value"] for measurement in record["measurements"]}
    assert measured["lung_area"] == pytest.approx(np.isin(labels, (1, 2)).mean(), abs=0.002)
    heart, lungs = (np.flatnonzero(np.isin(labels, values).any(0)) for values in ((3,), (1, 2)))
    assert measured["cardiothoracic_ratio"] == pytest.approx(np.ptp(heart) / np.ptp(lungs), abs=0.005)


# operating


def test_the_database_is_migrated_backed_up_and_restored(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("migrate", "--json").records == [{"database": "current"}]
    target = tmp_path / "b.tar"
    assert run("backup", target, "--json").records == [{"file": str(target), "files": 3}]
    assert run("restore", target).status == 1
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "other"))
    assert run("restore", target, "--json").records == [{"file": str(target), "files": 3}]
    assert (tmp_path / "other").stat().st_mode & 0o077 == 0


def test_a_database_that_is_none_is_one_line_and_not_a_trace(run: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "roentgen.sqlite3").write_bytes(b"PLANTED^NAME" * 100)
    done = run("migrate")
    assert done.status == 1
    assert "Traceback" not in done.err
    assert PLANTED not in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_worker_without_a_migrated_database_says_what_to_do(run: Any) -> None:
    done = run("worker")
    assert (done.status, "cds migrate" in done.err) == (1, True)


def test_settings_are_shown_with_secrets_masked(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_API_KEYS", '{"ward": "planted-key-0123456789"}')
    for done in (run("config", "show"), run("config", "show", "--json")):
        assert done.status == 0
        assert "planted-key" not in done.out
        assert "environment" in done.out


def test_a_wrong_setting_is_one_line_without_its_value(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_API_KEYS", '{"ward": "planted"}')
    done = run("config", "show")
    assert done.status == 1
    assert "api_keys" in done.err
    assert "planted" not in done.err


def test_serving_beyond_loopback_without_protection_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_HOST", "0.0.0.0")  # noqa: S104 - what must be refused
    done = run("serve")
    assert done.status == 1
    for missing in ("CDS_API_KEYS", "CDS_JWT_ISSUERS", "CDS_TLS_CERTIFICATE", "CDS_TRUSTED_PROXY"):
        assert missing in done.err


def test_the_rules_and_tables_that_ship_are_sound(run: Any) -> None:
    done = run("rules", "check", "--json")
    assert done.status == 0, done.records
    assert done.records[0]["problems"] == {}
    assert done.records[0]["rules"] > 0


def test_every_broken_table_of_a_site_is_named_with_its_line(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "rules").mkdir(parents=True)
    (site / "rules" / "ours.yaml").write_text("rules:\n  - id: a\n    surprise: true\n", encoding="utf-8")
    monkeypatch.setenv("CDS_CONFIG_DIR", str(site))
    done = run("rules", "check", "--json")
    assert done.status == 1
    problems = done.records[0]["problems"]
    assert list(problems) == ["rules"]
    assert "ours.yaml" in problems["rules"]
    (site / "orders.csv").write_text("system,code\n", encoding="utf-8")
    (site / "findings.csv").write_text("key,display\n,x\n", encoding="utf-8")
    problems = run("rules", "check", "--json").records[0]["problems"]
    assert "site/orders.csv" in problems["orderables"]
    assert "site/findings.csv line 2" in problems["findings"]


def test_the_doctor_looks_at_everything_though_a_part_is_broken(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("migrate").status == 0
    site = tmp_path / "site"
    site.mkdir()
    (site / "identity.yaml").write_text("issuers: [{id: a}]", encoding="utf-8")
    monkeypatch.setenv("CDS_CONFIG_DIR", str(site))
    monkeypatch.setenv("CDS_HOST", "0.0.0.0")  # noqa: S104 - what must be reported
    monkeypatch.setenv("CDS_TSL_KEY", "x")
    done = run("doctor", "--json")
    assert done.status == 1
    levels: dict[str, set[str]] = {}
    for finding in done.records:
        levels.setdefault(finding["subject"], set()).add(finding["level"])
    assert levels["network"] == {"error"}
    assert levels["configs"] == {"error"}
    assert levels["settings"] == {"warning"}
    assert "ok" in levels["store"]
    assert "disk" in levels
    assert any(subject.startswith("model ") for subject in levels)


def test_the_doctor_finds_an_open_folder_and_work_that_nobody_does(run: Any, tmp_path: Path) -> None:
    run("migrate")
    (tmp_path / "data").chmod(0o755)
    with sqlite3.connect(tmp_path / "data" / "roentgen.sqlite3") as connection:
        for number, state in enumerate(("queued", "failed")):
            connection.execute(
                "INSERT INTO job (id, kind, subject_id, state, due_at, attempts, created_at)"
                " VALUES (?, 'analyse_film', ?, ?, ?, 0, ?)",
                (str(number), str(number), state, LONG_AGO, LONG_AGO),
            )
    connection.close()
    messages = [f["message"] for f in run("doctor", "--json").records if f["subject"] == "store"]
    assert any("chmod 700" in message for message in messages)
    assert any("is a worker running?" in message for message in messages)
    assert any("1 films or reports were given up" in message for message in messages)


def test_a_reader_that_goes_away_ends_the_program_without_a_trace(tmp_path: Path) -> None:
    command = f"{sys.executable} -m cds score --list --json | head -c 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "{"
    assert done.stderr == ""


def test_every_verb_that_works_on_a_batch_takes_json() -> None:
    import typer

    from cds.cli.app import app

    def verbs(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
        for key, command in group.commands.items():
            path = f"{name} {key}".strip()
            if hasattr(command, "commands"):
                yield from verbs(command, path)
            else:
                yield path, command

    group = typer.main.get_command(app)
    without = {
        path
        for path, command in verbs(group)
        if "--json" not in {name for parameter in command.params for name in parameter.opts}
    }
    until_stopped = {"run", "serve", "api", "worker", "receiver"}
    assert without <= until_stopped | {"audit-trail export", "reidentify", "verdicts export"}  # JSON or CSV always
