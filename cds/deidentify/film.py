"""One DICOM film -> the same film without the patient in it: header, pixels, and nothing beside them."""

from __future__ import annotations

import io

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cds.deidentify.burned_in import TextFinder, blanked
from cds.deidentify.dataset import clean
from cds.deidentify.pseudonyms import Pseudonyms
from cds.errors import NotADicomFilmError, NotDeidentifiedError

_MODALITIES = frozenset({"CR", "DX", "MG", "XR", "RG"})
_LARGEST_PIXELS = 64_000_000
_SYNTAXES = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
    (True, False): ImplicitVRLittleEndian,
}
"""(implicit, little endian) of a file without file meta."""


def deidentified_film(
    data: bytes, pseudonyms: Pseudonyms, finder: TextFinder, *, keep_characteristics: bool = True
) -> bytes:
    """Return a film without the patient in it, as a DICOM file.

    data  a DICOM file of a radiograph; presentation states, structured reports and documents are not taken: what
          they say cannot be checked

    Raises NotADicomFilmError when it is none, NotDeidentifiedError when its pixels cannot be looked at.
    """
    dataset = _read(data)
    if str(dataset.get("Modality", "")) not in _MODALITIES or "PixelData" not in dataset:
        raise NotDeidentifiedError("only radiographs with pixels can be de-identified: CR, DX, MG, XR, RG")
    if int(dataset.get("Rows") or 0) * int(dataset.get("Columns") or 0) > _LARGEST_PIXELS:
        raise NotDeidentifiedError(f"more than {_LARGEST_PIXELS} pixels")
    _clean_pixels(dataset, finder)
    clean(dataset, pseudonyms, keep_characteristics=keep_characteristics)
    dataset.file_meta = _meta(dataset)
    dataset.preamble = b"\x00" * 128
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _read(data: bytes) -> Dataset:
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        dataset.decode()
    except (InvalidDicomError, ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, NotImplementedError):
        raise NotADicomFilmError("not_dicom", "not a DICOM file that can be read") from None
    if "SOPInstanceUID" not in dataset or "SOPClassUID" not in dataset:
        raise NotADicomFilmError("not_dicom", "not a DICOM file: no SOPInstanceUID or SOPClassUID")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = _SYNTAXES[(bool(implicit), bool(little))]
    return dataset


def _clean_pixels(dataset: Dataset, finder: TextFinder) -> None:
    """Blank the texts in the pixels; pixels without any stay byte for byte."""
    try:
        pixels: NDArray[np.generic] = dataset.pixel_array
    except Exception:  # noqa: BLE001 - decoders raise whatever they like, and nothing unseen may leave
        raise NotDeidentifiedError("the pixels cannot be decoded, so text in them cannot be looked for") from None
    if pixels.ndim != 2:
        raise NotDeidentifiedError("only single grey frames can be looked through for text")
    texts = finder.find(_picture(pixels, inverted=dataset.PhotometricInterpretation == "MONOCHROME1"))
    if all(text.marker for text in texts):
        return
    dark = pixels.max() if dataset.PhotometricInterpretation == "MONOCHROME1" else pixels.min()
    dataset.set_pixel_data(
        blanked(pixels, texts, int(dark)),
        dataset.PhotometricInterpretation,
        dataset.BitsStored,
        generate_instance_uid=False,
    )


def _picture(pixels: NDArray[np.generic], *, inverted: bool) -> NDArray[np.uint8]:
    values = pixels.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    shown = (values - low) / max(high - low, 1.0)
    return np.round(255 * (1 - shown if inverted else shown)).astype(np.uint8)


def _meta(dataset: Dataset) -> FileMetaDataset:
    """Return a fresh file meta: the former one names the sender and its software."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return meta
