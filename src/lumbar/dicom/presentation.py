"""Stored pixel values -> the grey that the file's maker meant to be shown (DICOM PS3.3, C.11.1, C.11.2 and C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from lumbar.dicom.tags import number_of, numbers_of, value_of, word_of
from lumbar.images import Grey, stretched

LOWEST_CONTRAST = 0.02
"""A window that maps the middle 98 % of the film to less than this share of the grey scale shows nothing."""


def shown_grey(stored: NDArray[Any], dataset: Dataset) -> Grey:
    """The grey (H, W) in [0, 1] of a MONOCHROME1 or MONOCHROME2 image, bone bright.

    stored (H, W): the integers of PixelData. In turn: the modality LUT or rescale slope and intercept; the first VOI
    LUT, or the first window (LINEAR, LINEAR_EXACT, SIGMOID), or, where there is none, it is malformed, or it leaves
    nothing to see, the range between the 0.5th and 99.5th percentile; then inversion for MONOCHROME1 or
    PresentationLUTShape INVERSE (in DX the two say the same thing and are not applied twice). Padding pixels are
    black and take no part in the range.
    """
    padding = _padding(stored, dataset)
    inside = ~padding if padding.any() and not padding.all() else np.ones_like(padding)
    values = _modality_values(stored, dataset)
    grey = _voi_grey(values, dataset)
    if grey is None or _contrast(grey[inside]) < LOWEST_CONTRAST:
        grey = stretched(values, *_robust_range(values[inside]))
    if _is_inverse(dataset):
        grey = 1 - grey
    return np.where(inside, grey, np.float32(0))


def _is_inverse(dataset: Dataset) -> bool:
    photometric, shape = word_of(dataset, "PhotometricInterpretation"), word_of(dataset, "PresentationLUTShape")
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def _padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Which pixels only fill up the rectangle (C.7.5.1.1.2)."""
    value, limit = number_of(dataset, "PixelPaddingValue"), number_of(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = np.array([value, value if limit is None else limit], dtype=np.int64)
    low, high = sorted(ends.astype(stored.dtype).tolist())  # wraps a -2000 that was written as 63536
    return np.asarray((stored >= low) & (stored <= high))


def _modality_values(stored: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    if (table := _table(dataset, "ModalityLUTSequence")) is not None:
        return table.look_up(stored)
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    if not slope or intercept is None or (slope, intercept) == (1.0, 0.0):
        return stored
    return np.asarray(stored.astype(np.float64) * slope + intercept)


def _voi_grey(values: NDArray[Any], dataset: Dataset) -> Grey | None:
    """The first VOI LUT or window applied; None where there is none that makes sense."""
    if (table := _table(dataset, "VOILUTSequence")) is not None:
        return stretched(table.look_up(values), float(table.entries.min()), float(table.entries.max()))
    centres, widths = numbers_of(dataset, "WindowCenter"), numbers_of(dataset, "WindowWidth")
    if not centres or not widths:
        return None
    return _windowed(values, centres[0], widths[0], word_of(dataset, "VOILUTFunction") or "LINEAR")


def _windowed(values: NDArray[Any], centre: float, width: float, function: str) -> Grey | None:
    """The window function of C.11.2.1.2 (LINEAR) or C.11.2.1.3 (SIGMOID, LINEAR_EXACT), its output being [0, 1].

    LINEAR counts integers, hence the halves: centre 2048 and width 4096 map 0 to 0 and 4095 to 1.
    """
    if function == "LINEAR" and width > 1:
        return stretched(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)
    if function == "LINEAR_EXACT" and width > 0:
        return stretched(values, centre - width / 2, centre + width / 2)
    if function == "SIGMOID" and width > 0:
        steepness = np.clip(4 * (values.astype(np.float64) - centre) / width, -60, 60)  # no overflow far outside
        return (1 / (1 + np.exp(-steepness))).astype(np.float32)
    return None


@dataclass(frozen=True)
class _Table:
    """A look-up table (C.11.1.1): the value `first` and everything below map to entry 0, and so on up to the last."""

    first: int
    entries: NDArray[Any]

    def look_up(self, values: NDArray[Any]) -> NDArray[Any]:
        index = np.rint(values).astype(np.int64) - self.first
        return np.asarray(self.entries[np.clip(index, 0, len(self.entries) - 1)])


def _table(dataset: Dataset, sequence: str) -> _Table | None:
    """The first look-up table of a sequence; None where there is none that makes sense.

    pydicom's own functions wrap around with tables of 8-bit entries and refuse some depths, and the depth that a
    descriptor states is often wrong; so the entries are taken as they are.
    """
    item = next(iter(value_of(dataset, sequence) or ()), None)
    descriptor = numbers_of(item, "LUTDescriptor") if item is not None else []
    if item is None or len(descriptor) != 3:
        return None
    count, first = int(descriptor[0]) or 65536, int(descriptor[1])
    if first > 32767 and number_of(dataset, "PixelRepresentation") == 1:
        first -= 65536  # a negative first value that was written as an unsigned one
    data = value_of(item, "LUTData")
    if isinstance(data, bytes):
        order = ">" if dataset.original_encoding[1] is False else "<"
        one_byte = len(data) < 2 * count
        entries = np.frombuffer(data[: count if one_byte else 2 * count], dtype=np.uint8 if one_byte else f"{order}u2")
    else:
        entries = np.asarray(numbers_of(item, "LUTData")[:count])
    return _Table(first, entries) if entries.size else None


def _robust_range(values: NDArray[Any]) -> tuple[float, float]:
    sample = values[:: max(1, values.size // 1_000_000)]
    low, high = np.percentile(sample, (0.5, 99.5))
    if low == high:
        low, high = values.min(), values.max()
    return float(low), float(high)


def _contrast(grey: Grey) -> float:
    low, high = np.percentile(grey[:: max(1, grey.size // 1_000_000)], (1, 99))
    return float(high - low)
