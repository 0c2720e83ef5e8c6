"""A real PACS for tests: Orthanc with its DICOMweb plug-in, on loopback ports and a folder of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.cds_processes import free_port, wait_for

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_FORWARD = """
function OnStoredInstance(instance, tags, metadata, origin)
  if tags['Modality'] == 'CR' or tags['Modality'] == 'DX' or tags['Modality'] == 'OT' then
    SendToModality(instance, 'roentgen')
  end
end
"""


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: its ports, and what it holds."""

    http_port: int
    dicom_port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.address}/dicom-web"

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.address}{path}", timeout=30).raise_for_status().json()

    def instances_of(self, study_uid: str) -> dict[str, str]:
        """Return Orthanc's id -> modality of each instance of a study."""
        found = httpx.post(
            f"{self.address}/tools/find",
            json={"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}, "Expand": True},
            timeout=30,
        )
        return {
            entry["ID"]: self.get(f"/instances/{entry['ID']}/simplified-tags")["Modality"]
            for entry in found.raise_for_status().json()
        }

    def file(self, instance: str) -> bytes:
        return httpx.get(f"{self.address}/instances/{instance}/file", timeout=30).raise_for_status().content

    def holds(self, film: bytes) -> None:
        """Put a film into it without forwarding it to anyone who is not there."""
        httpx.post(f"{self.address}/instances", content=film, timeout=60).raise_for_status()

    def forgets(self, study_uid: str, patient: str = "*") -> None:
        """Delete a study, of one patient or of all that have it."""
        query = {"Level": "Study", "Query": {"StudyInstanceUID": study_uid, "PatientID": patient}}
        for found in httpx.post(f"{self.address}/tools/find", json=query, timeout=30).raise_for_status().json():
            httpx.delete(f"{self.address}/studies/{found}", timeout=30).raise_for_status()


@contextlib.contextmanager
def orthanc(folder: Path, *, modality_port: int, forward: bool, **options: Any) -> Iterator[Orthanc]:
    """A running Orthanc that knows this service as the modality `roentgen`; skips where it is not installed.

    forward  whether every film, and every picture, that it stores goes to `roentgen` at once
    """
    program = shutil.which("Orthanc")
    if program is None or not _PLUGIN.is_file():
        pytest.skip("no Orthanc with DICOMweb on this machine; Debian: apt-get install orthanc orthanc-dicomweb")
    folder.mkdir(parents=True)
    running = Orthanc(free_port(), free_port())
    script = folder / "forward.lua"
    script.write_text(_FORWARD if forward else "")
    settings = {
        "Name": "tests",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": running.http_port,
        "DicomPort": running.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {"roentgen": ["ROENTGEN", "127.0.0.1", modality_port]},
        "LuaScripts": [str(script)],
        "StableAge": 1,
        "ConcurrentJobs": 4,
        **options,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        wait_for(lambda: httpx.get(f"{running.address}/system").is_success, "Orthanc")
        yield running
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
