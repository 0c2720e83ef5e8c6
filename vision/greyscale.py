"""Stored values -> what a viewer shows: the greyscale pipeline of DICOM (PS3.3 C.11.1, C.11.2; PS3.4 N.2).

Each step acts on a value alone, so it is worked out once per possible value, not once per pixel. Knows no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_rescale, apply_windowing

Values = NDArray[np.float64]
_FAR = 1e9
"""A value that lies beyond every window: where the display is black or white for good."""


def displayed(stored: NDArray[np.integer[Any]], dataset: Dataset) -> NDArray[np.float32]:
    """Return stored values (H x W) as shown: float32, 0 black to 1 white, air dark.

    Applies the modality LUT or rescale, then the VOI LUT or the first window (without a usable one, the range of the
    values), then the inversion that MONOCHROME1 asks for. Padding is shown black.
    Raises ValueError when a LUT or a rescale does not describe finite values.
    """
    kept = significant(stored, dataset)
    padding = padding_of(kept, dataset)
    low, high = _range(kept, padding)
    table = _shown(np.arange(low, high + 1), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        table = 1 - table
    pixels: NDArray[np.float32] = table.astype(np.float32)[np.clip(kept, low, high).astype(np.int32) - low]
    if padding is not None:
        pixels[padding] = 0
    return pixels


def window_of(stored: NDArray[np.integer[Any]], dataset: Dataset) -> tuple[NDArray[np.float32], float, float] | None:
    """Return the pixels before their window (H x W, 0 the least and 1 the greatest value) and its black and white.

    MONOCHROME1 is inverted and padding is black, as in `displayed`. None where the film is not shown by a linear
    window: it has a VOI LUT, another VOI function, or no usable window.
    """
    if dataset.get("VOILUTSequence") or str(dataset.get("VOILUTFunction") or "LINEAR") not in (
        "LINEAR",
        "LINEAR_EXACT",
    ):
        return None
    kept = significant(stored, dataset)
    padding = padding_of(kept, dataset)
    first, last = _range(kept, padding)
    values = _modality(np.arange(first, last + 1), dataset)
    edges = _window_edges(dataset)
    low, high = float(values.min()), float(values.max())
    if edges is None or high <= low:
        return None
    table = (values - low) / (high - low)
    black, white = ((edge - low) / (high - low) for edge in edges)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        table, black, white = 1 - table, 1 - white, 1 - black
    pixels: NDArray[np.float32] = table.astype(np.float32)[np.clip(kept, first, last).astype(np.int32) - first]
    if padding is not None:
        pixels[padding] = 0
    return pixels, black, white


def _window_edges(dataset: Dataset) -> tuple[float, float] | None:
    """Return the values that the first window shows black and white (PS3.3 C.11.2.1.2)."""
    try:
        centre, width = (
            float(value[0] if isinstance(value, MultiValue) else value)
            for value in (dataset.WindowCenter, dataset.WindowWidth)
        )
    except (AttributeError, TypeError, ValueError, IndexError):
        return None
    if dataset.get("VOILUTFunction") != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1
    return (centre - width / 2, centre + width / 2) if width > 0 else None


def significant(stored: NDArray[np.integer[Any]], dataset: Dataset) -> NDArray[np.integer[Any]]:
    """Return stored values without what lies above their significant bits, such as an embedded overlay."""
    bits = int(dataset.BitsStored)
    spare = stored.dtype.itemsize * 8 - bits
    if spare <= 0:
        return stored
    if int(dataset.PixelRepresentation) == 0:
        return stored & stored.dtype.type(2**bits - 1)
    return (stored << spare) >> spare


def padding_of(values: NDArray[np.integer[Any]], dataset: Dataset) -> NDArray[np.bool_] | None:
    """Return where the pixels are padding (PS3.3 C.7.5.1.1.2); None where none are."""
    first = _integer(dataset.get("PixelPaddingValue"))
    if first is None:
        return None
    last = _integer(dataset.get("PixelPaddingRangeLimit"))
    low, high = sorted((first, first if last is None else last))
    padding = (values >= low) & (values <= high)
    return padding if padding.any() and not padding.all() else None


def _range(values: NDArray[np.integer[Any]], padding: NDArray[np.bool_] | None) -> tuple[int, int]:
    used = values if padding is None else values[~padding]
    return int(used.min()), int(used.max())


def _shown(stored: NDArray[np.int64], dataset: Dataset) -> Values:
    """Return what each stored value is shown as, 0-1, before any inversion."""
    values = _modality(stored, dataset)
    if not np.isfinite(values).all():
        raise ValueError("the modality LUT or rescale gives values that are not finite")
    table = _voi_lut(values, dataset)
    if table is None:
        table = _window(values, dataset)
    return _spread(values) if table is None else table


def _modality(stored: NDArray[np.int64], dataset: Dataset) -> Values:
    if dataset.get("ModalityLUTSequence"):
        return _looked_up(stored.astype(np.float64), dataset.ModalityLUTSequence[0])
    rescaled: Values = np.asarray(apply_rescale(stored, dataset), np.float64)
    return rescaled


def _voi_lut(values: Values, dataset: Dataset) -> Values | None:
    if not dataset.get("VOILUTSequence"):
        return None
    item = dataset.VOILUTSequence[0]
    try:
        shown = _looked_up(values, item)
    except (ValueError, AttributeError, TypeError, IndexError):
        return None
    white = float(2 ** int(item.LUTDescriptor[2]) - 1)
    return np.clip(shown / white, 0, 1)


def _window(values: Values, dataset: Dataset) -> Values | None:
    """Return values through the first window, scaled between its black and its white; None without a usable one."""
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return None
    try:
        with np.errstate(all="ignore"):
            black, white = apply_windowing(np.array([-_FAR, _FAR]), dataset)
            shown = (np.asarray(apply_windowing(values, dataset), np.float64) - black) / (white - black)
    except (ValueError, TypeError, IndexError, AttributeError, KeyError):
        return None
    usable = np.isfinite(shown).all() and np.ptp(shown) > 0
    return np.clip(shown, 0, 1) if usable else None


def _spread(values: Values) -> Values:
    low, high = float(values.min()), float(values.max())
    return np.zeros_like(values) if high <= low else (values - low) / (high - low)


def _looked_up(values: Values, item: Dataset) -> Values:
    """Return values through the table of a LUT item; below and above it its first and last entry hold."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 65536
    table = _entries(item["LUTData"].value, entries, bits, "<" if item.original_encoding[1] in (True, None) else ">")
    places = np.clip(np.round(values) - first, 0, entries - 1).astype(np.int64)
    return table[places]


def _entries(data: Any, entries: int, bits: int, order: str) -> Values:
    if isinstance(data, bytes):
        kind = np.dtype("u1") if bits <= 8 and len(data) <= entries + 1 else np.dtype(f"{order}u2")
        data = np.frombuffer(data[: entries * kind.itemsize], kind)
    table = np.atleast_1d(np.asarray(data, np.float64))
    if table.size < entries:
        raise ValueError("a LUT has fewer entries than it declares")
    return table


def _integer(value: Any) -> int | None:
    return int(value) if isinstance(value, int) else None
