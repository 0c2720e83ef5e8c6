"""The built wheel, installed into an environment of its own and run from another folder, does what the clone does."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `cds` command of an environment that holds the built wheel and borrows the libraries of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(CHECKOUT)], check=True, cwd=folder)
    (wheel,) = folder.glob("roentgen_cds-*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    install = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", str(wheel)], check=True, cwd=folder)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment / "bin" / "cds"


def run(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "CDS_DATA_DIR": str(cwd / "data")}
    return subprocess.run(
        [str(command), *arguments], cwd=cwd, capture_output=True, text=True, env=environment, timeout=300
    )


def test_the_wheel_runs_from_its_own_files(installed: Path, tmp_path: Path) -> None:
    where = run(
        installed.parent / "python", "-c", "import cds, vision; print(cds.__file__, vision.__file__)", cwd=tmp_path
    )
    assert all(str(installed.parents[1]) in file for file in where.stdout.split())


def test_the_wheel_carries_the_configs(installed: Path, tmp_path: Path) -> None:
    checked = run(installed, "rules", "check", "--json", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    counts = json.loads(checked.stdout)
    assert all(counts[name] > 0 for name in ("findings", "issuers", "rules", "orderables", "lexicon"))


def test_the_wheel_carries_the_models(installed: Path, tmp_path: Path) -> None:
    film = get_testdata_file("RG1_J2KI.dcm", download=False)
    analysed = run(installed, "analyze", "--json", str(film), cwd=tmp_path)
    assert analysed.returncode == 0, analysed.stderr
    assert json.loads(analysed.stdout)["findings"]


def test_the_wheel_shows_the_demo(installed: Path, tmp_path: Path, free_port: int) -> None:
    shown = run(installed, "run", "--once", "--port", str(free_port), cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "ServiceRequest" in shown.stdout
