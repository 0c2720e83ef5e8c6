"""STOW-RS (PS3.18 section 10.5): the instances of one request into the store, and what became of each.

Knows no web framework. A part is stored by itself, so that one that is refused takes none with it; nothing is
unpacked here, and what a deflated film would fill is judged by the arrival.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from typing import Any

from pydicom.dataset import Dataset
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from cds.arrival import FilmArrivals, FilmReceipt
from cds.arrival.films import OWN_OBJECT
from cds.errors import NotADicomFilmError

DICOM = "application/dicom"
MAX_INSTANCES = 1000
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")
_CANNOT_UNDERSTAND, _CLASS_NOT_SUPPORTED, _PROCESSING_FAILURE = 0xC000, 0x0122, 0x0110
"""Failure reasons: PS3.18 table I.2-2."""


class NotMultipartError(ValueError):
    """A body is not multipart/related of application/dicom as its Content-Type says."""


@dataclass(frozen=True)
class Part:
    """One part of a multipart body."""

    media_type: str
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of the instances of one request; `own` were made here and are kept already."""

    stored: tuple[FilmReceipt, ...]
    failed: tuple[int, ...]
    own: int = 0

    @property
    def status(self) -> int:
        """The HTTP status: all stored, some, or none."""
        return 200 if not self.failed else 202 if self.stored or self.own else 409

    def as_json(self) -> dict[str, Any]:
        """Return the Store Instances Response in the DICOM JSON model."""
        answer = Dataset()
        if self.stored:
            answer.ReferencedSOPSequence = [_reference(receipt) for receipt in self.stored]
        if self.failed:
            answer.FailedSOPSequence = [_failure(reason) for reason in self.failed]
        as_json: dict[str, Any] = answer.to_json_dict()
        return as_json


def parts_of(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of a body.

    Raises NotMultipartError when it is not what its type says, or has more than MAX_INSTANCES parts.
    """
    kind, boundary = _type_and_boundary(content_type)
    if kind != "multipart/related" or not _BOUNDARY.fullmatch(boundary):
        raise NotMultipartError('send multipart/related; type="application/dicom" with a boundary')
    collector = _Collector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise NotMultipartError("the body is not multipart as its Content-Type says") from None
    if not collector.ended:
        raise NotMultipartError("the body ends before its last boundary")
    return collector.parts


def store_parts(films: FilmArrivals, parts: Sequence[Part], *, study: str | None, client: str, at: datetime) -> Outcome:
    """Store each part and return what became of it.

    study   the study that the address names: instances of another are refused
    client  who sends, as configured; stands for the calling AE where a film names no issuer
    """
    stored, failed, own = [], [], 0
    for part in parts:
        try:
            if part.media_type not in (DICOM, ""):
                raise NotADicomFilmError("not_dicom", f"a part is not {DICOM}")
            stored.append(films.receive(part.data, source="stow", calling_ae=client, study=study, at=at))
        except NotADicomFilmError as error:
            if error.code == OWN_OBJECT:
                own += 1
                continue
            failed.append(_REASONS.get(error.code, _CANNOT_UNDERSTAND))
    return Outcome(tuple(stored), tuple(failed), own)


_REASONS = {"not_an_image": _CLASS_NOT_SUPPORTED, "other_study": _PROCESSING_FAILURE}


def _type_and_boundary(content_type: str) -> tuple[str, str]:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary", "")
    return header.get_content_type(), boundary if isinstance(boundary, str) else ""


def _reference(receipt: FilmReceipt) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = receipt.sop_class_uid, receipt.sop_instance_uid
    return item


def _failure(reason: int) -> Dataset:
    item = Dataset()
    item.FailureReason = reason
    return item


class _Collector:
    """Gathers parts from the calls of the parser."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._name, self._value, self._type = b"", b"", ""
        self._data: list[bytes] = []

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= MAX_INSTANCES:
            raise NotMultipartError(f"more than {MAX_INSTANCES} instances; send them in several requests")
        self._type, self._data = "", []

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-type":
            self._type = self._value.split(b";")[0].strip().lower().decode("latin-1")
        self._name = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        self.parts.append(Part(self._type, b"".join(self._data)))

    def _end(self) -> None:
        self.ended = True
