"""DICOM bytes -> radiograph. Tolerant of missing preamble and file meta; nothing is decoded before its size is known.

Knows no model. Everything that goes wrong inside pydicom or a decoder becomes an UnreadableImageError here.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from vision.codestream import declared_size, is_whole, rle_is_longer_than
from vision.errors import UnreadableImageError
from vision.greyscale import displayed
from vision.header import header_of
from vision.limits import MAX_BYTES, check_size
from vision.radiograph import Radiograph
from vision.reduced import halved

_PREFIX = slice(128, 132)
_JPEG_2000 = (JPEG2000, JPEG2000Lossless)
_GREY = ("MONOCHROME1", "MONOCHROME2")
_quiet = threading.Lock()


def looks_like_dicom(data: bytes) -> bool:
    """Return whether bytes carry the prefix of a DICOM file."""
    return data[_PREFIX] == b"DICM"


def read_dicom(data: bytes, sha256: str, least_side: int | None = None) -> Radiograph:
    """Return the radiograph in the bytes of a DICOM file, with or without preamble and file meta.

    least_side  pixels of half the resolution will do where they have this many on a side and are cheaper to have

    Raises UnreadableImageError.
    """
    with _silence():
        dataset = _parsed(data)
        _check_kind(dataset)
        stored = _decoded(dataset, least_side)
        try:
            pixels = displayed(stored, dataset)
        except Exception as error:  # noqa: BLE001 - header values of any kind end here
            raise UnreadableImageError(
                "bad_header", f"the modality LUT or rescale cannot be applied ({type(error).__name__})"
            ) from None
        return Radiograph(
            pixels=pixels,
            sha256=sha256,
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            bits=int(dataset.BitsStored),
            has_metadata=True,
            **_facts(dataset),
        )


def decoded_dicom(data: bytes) -> tuple[Dataset, NDArray[np.integer[Any]]]:
    """Return the dataset of a DICOM file and its stored values (H x W), before any look-up table.

    Raises UnreadableImageError.
    """
    with _silence():
        dataset = _parsed(data)
        _check_kind(dataset)
        return dataset, _decoded(dataset, None)


def _facts(dataset: Dataset) -> dict[str, Any]:
    try:
        return asdict(header_of(dataset))
    except Exception as error:  # noqa: BLE001 - a value that cannot even be converted
        raise UnreadableImageError("bad_header", f"the header cannot be read ({type(error).__name__})") from None


@contextmanager
def _silence() -> Iterator[None]:
    """Keep pydicom's warnings, which quote header values, out of logs and of stderr.

    Python's warning filters are one per process, so one film at a time is read inside.
    """
    log = logging.getLogger("pydicom")
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        passed_on, log.propagate = log.propagate, False
        try:
            yield
        finally:
            log.propagate = passed_on


class _BoundedStream(io.BytesIO):
    """A file that refuses what would inflate beyond the limit; pydicom reads to the end only to inflate."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is None or size < 0:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            inflater.decompress(data, MAX_BYTES)
            if inflater.unconsumed_tail:
                raise UnreadableImageError("too_large", "the deflated dataset is larger than this program reads")
            if not inflater.eof:
                raise UnreadableImageError("truncated", "the deflated dataset ends too early")
        return data


def _parsed(data: bytes) -> Dataset:
    try:
        dataset = pydicom.dcmread(_BoundedStream(data), force=True)
        if "PixelData" in dataset:
            _complete_meta(dataset)
            return dataset
        cut_off = _declares_picture(pydicom.dcmread(_BoundedStream(data), force=True, stop_before_pixels=True))
    except UnreadableImageError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser fed with anything
        if looks_like_dicom(data):
            raise UnreadableImageError(
                "damaged", f"the file starts as DICOM but cannot be read ({type(error).__name__})"
            ) from None
        raise UnreadableImageError("not_an_image", "neither DICOM, PNG nor JPEG") from None
    if cut_off:
        raise UnreadableImageError("truncated", "the file ends before its pixel data do")
    if looks_like_dicom(data):
        raise UnreadableImageError("no_pixels", "the DICOM file holds no picture")
    raise UnreadableImageError("not_an_image", "neither DICOM, PNG nor JPEG")


def _declares_picture(header: Dataset) -> bool:
    stated = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or ""
    return "Rows" in header or "Image Storage" in UID(str(stated)).name


def _complete_meta(dataset: Dataset) -> None:
    """Give a dataset without transfer syntax the one it was evidently written in."""
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    if dataset["PixelData"].is_undefined_length:
        raise UnreadableImageError(
            "unsupported_transfer_syntax", "compressed pixel data without a transfer syntax cannot be decoded"
        )
    implicit, little = dataset.original_encoding
    plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain


def _check_kind(dataset: Dataset) -> None:
    """Refuse what is not one greyscale picture of a size that is read."""
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        samples, frames = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("NumberOfFrames") or 1)
        allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
        photometric, sign = str(dataset.PhotometricInterpretation), int(dataset.PixelRepresentation)
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise UnreadableImageError("bad_header", "the header does not describe its pixels") from None
    if samples != 1 or photometric not in _GREY:
        raise UnreadableImageError("colour", "a colour picture, not a greyscale radiograph")
    if frames != 1:
        raise UnreadableImageError("multi_frame", "several frames in one file, not a single radiograph")
    if allocated not in (8, 16) or not 6 <= stored <= allocated or sign not in (0, 1):
        raise UnreadableImageError("unsupported_pixels", "pixels of this depth are not read; 8 to 16 bits are")
    check_size(rows, columns)


def _decoded(dataset: Dataset, least_side: int | None) -> NDArray[np.integer[Any]]:
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    try:
        if syntax.is_compressed and syntax.is_encapsulated:
            frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
            _check_frame(frame, syntax, rows, columns)
            half = _half(frame, dataset, syntax, least_side)
            if half is not None:
                return half
        elif len(dataset.PixelData) < rows * columns * int(dataset.BitsAllocated) // 8:
            raise UnreadableImageError("truncated", "the pixel data are shorter than the header declares")
        pixels = np.asarray(dataset.pixel_array)
    except UnreadableImageError:
        raise
    except NotImplementedError:
        raise UnreadableImageError(
            "unsupported_transfer_syntax", "the pixels are compressed in a way that is not read"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders fail in their own ways
        raise UnreadableImageError("damaged", f"the pixel data cannot be decoded ({type(error).__name__})") from None
    if pixels.shape != (rows, columns) or pixels.dtype.kind not in "iu" or pixels.dtype.itemsize > 2:
        raise UnreadableImageError("damaged", "the decoded pixels are not what the header declares")
    return pixels


def _half(frame: bytes, dataset: Dataset, syntax: UID, least_side: int | None) -> NDArray[np.integer[Any]] | None:
    smallest = min(int(dataset.Rows), int(dataset.Columns))
    if least_side is None or syntax not in _JPEG_2000 or smallest < 2 * least_side:
        return None
    return halved(frame, int(dataset.BitsStored)) if int(dataset.PixelRepresentation) == 0 else None


def _check_frame(frame: bytes, syntax: UID, rows: int, columns: int) -> None:
    """Refuse a compressed frame that is cut off or that would decode to another size than the header's."""
    if syntax == RLELossless:
        if rle_is_longer_than(frame, rows * columns + 2):
            raise UnreadableImageError("damaged", "the compressed frame is larger than the header declares")
        return
    size = declared_size(frame)
    if size is not None and size != (rows, columns):
        raise UnreadableImageError("damaged", "the compressed frame has another size than the header declares")
    if not is_whole(frame):
        raise UnreadableImageError("truncated", "the compressed pixel data end too early")
