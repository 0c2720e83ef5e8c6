"""Nothing of a patient and no token reaches the log, whoever writes it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PLANTED = "DOE^JANE"


def _logged(code: str, level: str = "info") -> list[dict[str, Any]]:
    """Run code in a process of its own and return its log; its standard output must stay empty."""
    script = f"""
import logging, threading, warnings
from cds.operating.logs import logger
early = logger("made.before")
from cds.operating.logs import configure_logs, log_crashes, place_of
configure_logs({level!r}); log_crashes()
{code}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_is_json_with_its_time_module_and_listed_fields() -> None:
    (line,) = _logged("early.info('job done', kind='analyse_film', job='j1')")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "job done",
        "level": "info",
        "module": "made.before",
        "kind": "analyse_film",
        "job": "j1",
    }


def test_a_field_that_is_not_listed_is_dropped_by_name() -> None:
    (line,) = _logged(f"early.info('x', patient={PLANTED!r})")
    assert PLANTED not in str(line)
    assert line["setting"] == "dropped fields: patient"


@pytest.mark.parametrize(
    "code",
    [
        f"logging.getLogger('pydicom').warning('Invalid value {PLANTED}')",
        f"warnings.warn('Invalid value {PLANTED}')",
        f"threading.Thread(target=lambda: int('{PLANTED}')).start()",
        f"raise ValueError('{PLANTED}')",
        f"""
try:
    raise ValueError('{PLANTED}')
except ValueError as error:
    logging.getLogger('uvicorn.error').exception('Exception in ASGI application')
    early.error('failed', **place_of(error))
""",
    ],
)
def test_what_libraries_and_crashes_say_is_named_by_place_only(code: str) -> None:
    lines = _logged(code, "debug")
    assert lines
    assert PLANTED not in str(lines)


def test_a_crash_says_where_it_happened() -> None:
    (line,) = _logged("raise KeyError('x')")
    assert (line["event"], line["error_type"]) == ("crashed", "KeyError")
    assert line["error_at"].startswith("__main__:")


def test_what_the_web_server_says_of_itself_is_kept() -> None:
    (line,) = _logged("logging.getLogger('uvicorn.error').error('address already in use')")
    assert line["reason"] == "address already in use"


def test_lines_below_the_level_are_left_out() -> None:
    assert _logged("early.info('x'); logging.getLogger('a').info('y')", "warning") == []
