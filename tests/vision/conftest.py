"""Films made for tests: byte-level DICOM in every transfer syntax that can be written, PNG and JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    generate_uid,
)

PNG, JPEG = ".png", ".jpg"


def _chest_like(side: int = 96, bits: int = 12) -> NDArray[np.uint16]:
    """Return stored values of a picture with two dark lungs on a bright body (MONOCHROME2)."""
    y, x = np.mgrid[0:side, 0:side] / side
    lungs = sum(np.exp(-(((x - at) / 0.13) ** 2 + ((y - 0.5) / 0.3) ** 2)) for at in (0.3, 0.7))
    values = np.clip(0.8 - 0.65 * lungs + 0.05 * np.sin(50 * y), 0, 1) * (2**bits - 1)
    return np.round(values).astype(np.uint16)


def _film(values: NDArray[Any], *, bits: int = 12, **header: Any) -> Dataset:
    """Return a CR dataset of stored values; `header` overrides or adds elements by keyword."""
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName = "Secret^Name"
    dataset.PatientID = "secret-4711"
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    return dataset


def _file_bytes(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return a DICOM file of a dataset, compressed where the syntax asks for it."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax == JPEGBaseline8Bit:
        _as_jpeg(dataset)
    elif syntax.is_encapsulated:
        dataset.compress(syntax)
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _as_jpeg(dataset: Dataset) -> None:
    values = np.frombuffer(dataset.PixelData, np.uint8).reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = encapsulate([_picture_bytes(values, JPEG)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _picture_bytes(values: NDArray[Any], kind: str = PNG) -> bytes:
    """Return a PNG or JPEG of grey or colour (BGR) values."""
    return bytes(cv2.imencode(kind, values, [cv2.IMWRITE_JPEG_QUALITY, 95] if kind == JPEG else [])[1])


@pytest.fixture(scope="session")
def chest_like() -> Callable[..., NDArray[np.uint16]]:
    return _chest_like


@pytest.fixture(scope="session")
def film() -> Callable[..., Dataset]:
    return _film


@pytest.fixture(scope="session")
def file_bytes() -> Callable[..., bytes]:
    return _file_bytes


@pytest.fixture(scope="session")
def picture_bytes() -> Callable[..., bytes]:
    return _picture_bytes


@pytest.fixture(scope="session")
def packaged_film() -> Callable[[str], Path]:
    """Return the path of a file that pydicom or pydicom-data carries."""

    def find(name: str) -> Path:
        found = get_testdata_file(name, download=False)
        assert found is not None, name
        return Path(found)

    return find
