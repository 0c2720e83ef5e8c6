"""The kit against a server of others: `healthchain`, in an environment of its own, found wanting where it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cds.conformance import run

PACKAGE = "healthchain==0.16.1"
SERVER = Path(__file__).parents[3] / "benchmarks" / "healthchain_server.py"


@pytest.fixture
def healthchain(tmp_path: Path, free_port: int) -> Iterator[str]:
    """Return the base address of a trivial healthchain server; skips where the package cannot be installed."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    installed = subprocess.run([python, "-m", "pip", "install", "--quiet", PACKAGE], capture_output=True, check=False)
    if installed.returncode != 0:
        pytest.skip(f"{PACKAGE} cannot be installed here")
    with subprocess.Popen([python, SERVER, str(free_port)], stdout=subprocess.DEVNULL) as server:
        try:
            _wait(f"http://127.0.0.1:{free_port}/health")
            yield f"http://127.0.0.1:{free_port}/cds"
        finally:
            server.terminate()


def _wait(address: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail("healthchain did not start")


@pytest.mark.soak
def test_another_server_is_judged_by_what_it_does(healthchain: str) -> None:
    results = run(healthchain)
    assert {r.item for r in results if r.status == "failed"} == {6, 7, 8}
    assert {r.item for r in results if r.status == "passed"} >= {1, 2, 3, 4, 5, 13, 16, 17, 19, 20, 43}
