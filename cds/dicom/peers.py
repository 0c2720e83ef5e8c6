"""What a peer is asked and sent: C-STORE, C-FIND, C-MOVE by pynetdicom, and QIDO, WADO, STOW by dicomweb-client.

Every failure is a DeliveryError that says whether trying again would help; it quotes nothing that was exchanged.
"""

from __future__ import annotations

import contextlib
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from requests.adapters import HTTPAdapter

from cds.dicom.calling import SECONDS, called
from cds.dicom.commitment import ask_commitment
from cds.dicom.nodes import Node
from cds.errors import DeliveryError
from cds.outputs.source import uid_of

_MOVE_SECONDS = 300.0
_PAGE = 1000
_SUCCESS, _PENDING, _WARNINGS = 0x0000, (0xFF00, 0xFF01), range(0xB000, 0xC000)
_LATER = (0x0110, 0x0122)
_PLAIN = ("CR", "DX", "RG")
# Patient ID, birth date and sex, accession number, study date and time: what an archive corrects under the same UIDs.
_WHOSE = ("00100020", "00100030", "00100040", "00080050", "00080020", "00080030")
_NOT_NOW = (401, 403, 429, 502, 503, 504)


@dataclass(frozen=True)
class Study:
    """A study as an archive names it.

    instances  None where it does not say how many there are
    said       check sum of whose study it says it is, and which; too short to tell who
    """

    uid: str
    date: str
    time: str
    instances: int | None
    said: int = 0


@dataclass(frozen=True)
class Peer:
    """One node, seen from this service.

    our_title  AE title of this service, also the destination of C-MOVE
    """

    node: Node
    our_title: str

    def send(self, data: bytes) -> None:
        """Send one DICOM file in the way that the node is configured for. Raises DeliveryError."""
        if self.node.send == "stow":
            self._stow(data)
        else:
            self._store(data)

    def greet(self) -> None:
        """Ask whether the node is there, in every way it is reached. Raises DeliveryError."""
        if self.node.speaks_dicom:
            with called(self.node, self.our_title, [(Verification, None)]) as association:
                status = association.send_c_echo()
            if "Status" not in status or status.Status != _SUCCESS:
                raise DeliveryError("C-ECHO was not answered")
        if self.node.dicomweb is not None:
            with _as_delivery_errors():
                self._client().search_for_studies(limit=1)

    def studies_of(self, patient_id: str, issuer: str | None) -> list[Study]:
        """Return the plain films of a patient by record number, the latest study first; never by name."""
        wanted = {"PatientID": patient_id, **({"IssuerOfPatientID": issuer} if issuer else {})}
        found = [study for study in self._find(wanted) if study.date]
        return sorted(found, key=lambda study: (study.date, study.time), reverse=True)

    def studies_since(self, date: str) -> list[Study]:
        """Return the studies of a date (YYYYMMDD) or later, the oldest first. By DICOMweb."""
        return sorted(self._find({"StudyDate": f"{date}-"}), key=lambda study: (study.date, study.time))

    def instances_in(self, study_uid: str) -> int | None:
        """Return how many instances a study has there; None where the node does not say."""
        found = self._find({"StudyInstanceUID": study_uid})
        return found[0].instances if len(found) == 1 else None

    def films_in(self, study_uid: str, known: frozenset[str] = frozenset()) -> Iterator[bytes]:
        """Fetch the films of a study, but not those whose SOPInstanceUID is known. By DICOMweb."""
        client = self._client()
        with _as_delivery_errors():
            found = client.search_for_instances(study_uid, fields=["Modality"])
            for entry in found:
                uid = _text(entry, "00080018")
                if uid in known or _text(entry, "00080060") not in _PLAIN:
                    continue
                film = client.retrieve_instance(study_uid, _text(entry, "0020000E"), uid, media_types=_AS_STORED)
                yield _written(film)

    def move(self, study_uid: str) -> None:
        """Ask the node to send a study here by C-STORE."""
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", study_uid
        model = StudyRootQueryRetrieveInformationModelMove
        with called(self.node, self.our_title, [(model, None)], seconds=_MOVE_SECONDS) as association:
            for status, _ in association.send_c_move(wanted, self.our_title, model):
                code = status.Status if "Status" in status else None
                if code not in (_SUCCESS, *_PENDING) and code not in _WARNINGS:
                    raise DeliveryError(f"C-MOVE status {_hex(code)}")

    def ask_commitment(self, named: list[tuple[str, str]]) -> None:
        """Ask the node to commit to objects of ours; it reports to our port, or at once."""
        with called(self.node, self.our_title, [(StorageCommitmentPushModel, None)]) as association:
            status = ask_commitment(association, named, uid_of(*(instance for _, instance in named)))
        if status != _SUCCESS:
            raise DeliveryError(f"storage commitment status {_hex(status)}")

    def _store(self, data: bytes) -> None:
        made = pydicom.dcmread(io.BytesIO(data))
        context = (str(made.SOPClassUID), str(made.file_meta.TransferSyntaxUID))
        with called(self.node, self.our_title, [context]) as association:
            answer = association.send_c_store(made)
        status = answer.Status if "Status" in answer else None
        if status is None:
            raise DeliveryError("the association ended before an answer")
        if status != _SUCCESS and status not in _WARNINGS:
            for_good = status not in _LATER and status & 0xFF00 not in (0xA700,)
            raise DeliveryError(f"C-STORE status {_hex(status)}", for_good=for_good)

    def _stow(self, data: bytes) -> None:
        made = pydicom.dcmread(io.BytesIO(data))
        with _as_delivery_errors():
            answer = self._client().store_instances([made])
        if answer.get("FailedSOPSequence"):
            reason = answer.FailedSOPSequence[0].get("FailureReason")
            raise DeliveryError(f"STOW-RS failure reason {_hex(reason)}")

    def _find(self, wanted: dict[str, str]) -> list[Study]:
        if self.node.dicomweb is None:
            return list(self._c_find(wanted))
        studies = [
            Study(
                _text(entry, "0020000D"),
                _text(entry, "00080020"),
                _text(entry, "00080030"),
                int(number) if (number := _text(entry, "00201208")).isdigit() else None,
                zlib.crc32(json.dumps([_text(entry, tag) for tag in _WHOSE]).encode()),
            )
            for entry in self._qido(wanted)
            if _is_plain(entry.get("00080061", {}).get("Value"))
        ]
        return [study for study in studies if study.uid]

    def _qido(self, wanted: dict[str, str]) -> Iterator[Any]:
        """Yield what an archive finds, page after page until one holds nothing new; many cut an answer off."""
        client, uids, offset = self._client(), set[str](), 0
        while True:
            with _as_delivery_errors():
                page = client.search_for_studies(
                    search_filters=wanted,
                    fields=["ModalitiesInStudy", "NumberOfStudyRelatedInstances"],
                    limit=_PAGE,
                    offset=offset,
                )
            fresh = [entry for entry in page if _text(entry, "0020000D") not in uids]
            if not fresh:
                return
            yield from fresh
            uids.update(_text(entry, "0020000D") for entry in fresh)
            offset += len(page)

    def _c_find(self, wanted: dict[str, str]) -> Iterator[Study]:
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        for name in (
            "StudyInstanceUID",
            "StudyDate",
            "StudyTime",
            "ModalitiesInStudy",
            "NumberOfStudyRelatedInstances",
        ):
            setattr(query, name, None)
        for name, value in wanted.items():
            setattr(query, name, value)
        model = StudyRootQueryRetrieveInformationModelFind
        with called(self.node, self.our_title, [(model, None)]) as association:
            for status, found in association.send_c_find(query, model):
                code = status.Status if "Status" in status else None
                if code not in (_SUCCESS, *_PENDING):
                    raise DeliveryError(f"C-FIND status {_hex(code)}")
                if found is not None and _is_plain(_values(found.get("ModalitiesInStudy"))):
                    number = str(found.get("NumberOfStudyRelatedInstances") or "")
                    yield Study(
                        str(found.StudyInstanceUID),
                        str(found.get("StudyDate") or ""),
                        str(found.get("StudyTime") or ""),
                        int(number) if number.isdigit() else None,
                    )

    def _client(self) -> DICOMwebClient:
        session = requests.Session()
        session.mount("http://", _InTime())
        session.mount("https://", _InTime())
        if self.node.key is not None:
            user, colon, password = self.node.key.get_secret_value().partition(":")
            if colon:
                session.auth = (user, password)
            else:
                session.headers["Authorization"] = f"Bearer {user}"
        client = DICOMwebClient(str(self.node.dicomweb), session=session)
        client.set_http_retry_params(retry=False)
        return client


_AS_STORED = (("application/dicom", "*"),)


class _InTime(HTTPAdapter):
    """Gives every request a time after which it fails."""

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        return super().send(request, *args, **{**options, "timeout": options.get("timeout") or SECONDS})


@contextlib.contextmanager
def _as_delivery_errors() -> Iterator[None]:
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        for_good = 400 <= status < 500 and status not in (401, 403, 408, 409, 425, 429)
        answered = status >= 400 and status not in _NOT_NOW
        raise DeliveryError(f"HTTP status {status}", for_good=for_good, answered=answered) from None
    except (requests.RequestException, ValueError) as error:
        raise DeliveryError(f"no answer that can be used ({type(error).__name__})") from None


def _text(entry: Any, tag: str) -> str:
    values = entry.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _values(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(part) for part in value or ()]


def _is_plain(modalities: Any) -> bool:
    """Whether a study may hold plain films; one that does not say is looked into."""
    return not modalities or any(modality in _PLAIN for modality in modalities)


def _written(film: Dataset) -> bytes:
    file = io.BytesIO()
    film.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _hex(status: int | None) -> str:
    return "missing" if status is None else f"{status:04X}"
