"""What the pixel spacing in a DICOM file means, and how it came to be known."""

from __future__ import annotations

import math

from pydicom import Dataset

from lumbar.dicom.tags import number_of, numbers_of, word_of
from lumbar.radiograph import PixelSpacing

MAX_MAGNIFICATION = 3.0
"""Lateral lumbar films are magnified 1.0 to 1.32 times; a stated factor beyond 3 is a mistake."""


def pixel_spacing(dataset: Dataset) -> PixelSpacing | None:
    """The spacing of a projection radiograph, with the tags it came from and the plane it holds in.

    The first rule that fits is taken. "Magnification" is EstimatedRadiographicMagnificationFactor, or, where that is
    missing, DistanceSourceToDetector / DistanceSourceToPatient; it must exceed 1 (nothing in a patient touches the
    detector, so a stated 1 is a placeholder) and be at most `MAX_MAGNIFICATION`.

    | present | spacing | plane |
    |---|---|---|
    | PixelSpacing other than ImagerPixelSpacing, calibrated* | PixelSpacing | patient |
    | ImagerPixelSpacing and an equal PixelSpacing, magnification | ImagerPixelSpacing / magnification | patient |
    | ImagerPixelSpacing and an equal PixelSpacing | ImagerPixelSpacing | detector |
    | ImagerPixelSpacing and another PixelSpacing, calibration not stated | PixelSpacing | unknown |
    | ImagerPixelSpacing alone, magnification | ImagerPixelSpacing / magnification | patient |
    | ImagerPixelSpacing alone | ImagerPixelSpacing | detector |
    | PixelSpacing alone | PixelSpacing | unknown |
    | NominalScannedPixelSpacing (a digitised film) | NominalScannedPixelSpacing | detector |
    | none of these | None | |

    * PixelSpacingCalibrationType is FIDUCIAL or GEOMETRY.

    The tags' order is row spacing, then column spacing. A malformed tag (not two positive lengths below 100 mm)
    counts as missing. Source: DICOM PS3.3, 10.7.1.3 (PixelSpacing and its calibration) and C.8.11.4 (detector).
    """
    imager = _lengths(dataset, "ImagerPixelSpacing")
    given = _lengths(dataset, "PixelSpacing")
    if given is not None and not _equal(given, imager):
        calibration = word_of(dataset, "PixelSpacingCalibrationType")
        if calibration in ("FIDUCIAL", "GEOMETRY"):
            return PixelSpacing(*given, source=f"PixelSpacing (calibrated, {calibration})", plane="patient")
        doubt = "its calibration is not stated" if imager else "whether it is magnified is not stated"
        return PixelSpacing(*given, source=f"PixelSpacing ({doubt})", plane="unknown")
    if imager is not None:
        return _at_the_patient(imager, dataset)
    scanned = _lengths(dataset, "NominalScannedPixelSpacing")
    return None if scanned is None else PixelSpacing(*scanned, source="NominalScannedPixelSpacing", plane="detector")


def _at_the_patient(imager: tuple[float, float], dataset: Dataset) -> PixelSpacing:
    """The detector's spacing divided by the magnification, where the file states one."""
    factor = number_of(dataset, "EstimatedRadiographicMagnificationFactor")
    how = "EstimatedRadiographicMagnificationFactor"
    if not _is_magnification(factor):
        detector = number_of(dataset, "DistanceSourceToDetector")
        patient = number_of(dataset, "DistanceSourceToPatient")
        factor = detector / patient if detector and patient else None
        how = "(DistanceSourceToDetector / DistanceSourceToPatient)"
    if factor is None or not _is_magnification(factor):
        return PixelSpacing(*imager, source="ImagerPixelSpacing", plane="detector")
    row_mm, column_mm = (length / factor for length in imager)
    return PixelSpacing(row_mm, column_mm, source=f"ImagerPixelSpacing / {how} ({factor:.4g})", plane="patient")


def _is_magnification(factor: float | None) -> bool:
    return factor is not None and 1 < factor <= MAX_MAGNIFICATION


def _equal(given: tuple[float, float], imager: tuple[float, float] | None) -> bool:
    return imager is not None and all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(given, imager, strict=True))


def _lengths(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """The two lengths in mm, row spacing first; None where the tag is missing or malformed."""
    values = numbers_of(dataset, keyword)
    if len(values) != 2 or not all(0 < value < 100 for value in values):
        return None
    return values[0], values[1]
