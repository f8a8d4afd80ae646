"""A report of ours, some of whose points a reader has moved -> a reading measured anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code

from lumbar.anatomy import LANDMARK_INDEX, LANDMARKS, Corner, Posture, Side, Vertebra
from lumbar.dicom.tags import value_of
from lumbar.geometry import FloatArray
from lumbar.images import libraries_silenced
from lumbar.landmarks import SpineLandmarks
from lumbar.localisation import LumbosacralBox
from lumbar.pacs import codes
from lumbar.pacs.header import header_of
from lumbar.pacs.sr_items import to_dicom
from lumbar.radiograph import PixelSpacing, Radiograph
from lumbar.reading import Reading

MOVED_PX = 1e-3
"""A point that lies farther than this from where the networks saw it was moved: a viewer that stores it again may round."""

_CORNER_OF = {code.value: corner for corner, code in codes.CORNER.items()}
_VERTEBRA_OF = {codes.SITES[vertebra.value].value: vertebra for vertebra in Vertebra}
_REPORT, _MEASUREMENTS, _GROUP, _SITE, _MODIFIER = "126000", "126010", "125007", "363698007", "106233006"


class UnreadableReport(ValueError):
    """A file that is no report of ours on one film; `str()` is one line that names no patient."""


@dataclass(frozen=True, slots=True)
class CorrectedReport:
    """What a corrected report holds. header: of the film, as far as the report says. moved: names such as "L4 superior_anterior"."""

    document: Dataset
    header: Dataset
    reading: Reading
    moved: tuple[str, ...]


def read_report(
    path: str | os.PathLike[str], film: str, reader_error_px: float | None = None, pixels: Radiograph | None = None
) -> CorrectedReport:
    """Read a report and measure again what its points now say.

    film: the name that the reading gets. reader_error_px: standard deviation of each coordinate of a corner that a reader placed, in
    film pixels; None where it is not known, and then what depends on a moved corner has no error bar. A corner that was not moved
    keeps the very coordinates and errors that the networks gave it; one that was taken out is absent. pixels: the film itself; without
    it a blank one of the same size stands in, since measuring needs points alone.
    Raises UnreadableReport where the file is damaged, is no measurement report of lumbar on one film, or was changed beyond its points;
    ValueError where `pixels` are of another size.
    """
    with libraries_silenced():
        try:
            document = dcmread(path)
        except Exception:  # of any kind; the cause is cut off, since it may quote the patient's data
            raise UnreadableReport("the file is damaged or not DICOM; give a report that lumbar wrote") from None
        try:
            return _corrected(document, film, reader_error_px, pixels)
        except (KeyError, AttributeError, IndexError, TypeError):
            raise UnreadableReport(
                "the report lacks something that reports of lumbar hold; give one that was changed in its points alone"
            ) from None


def _corrected(
    document: Dataset, film: str, reader_error_px: float | None, pixels: Radiograph | None
) -> CorrectedReport:
    if _name(document) != _REPORT or not any(True for _ in _about_corners(document)):
        raise UnreadableReport("the file is no measurement report of lumbar with corners; give one that it wrote")
    groups = list(_groups(document))
    about = [group for group in groups if _finding(group) == codes.FILM_FINDING.value]
    if len(about) != 1:
        raise UnreadableReport(f"the report must be on one film; got {len(about)}: correct the reports of each film")
    (whole,) = about
    header = _header(document)
    radiograph = _radiograph(whole, header, pixels)
    as_read = next(group for group in groups if _finding(group) == codes.CORNERS_READ.value)
    points = _points_now(groups)
    landmarks, moved = _landmarks(points, _numbers_by_corner(as_read), reader_error_px)
    doubts = [_moved_in_words(moved)] if moved else []
    source = {code.value: name for name, code in codes.FACING_SOURCE.items()}[_said(whole, codes.FACING_KNOWN)]
    reading = Reading.of(
        film,
        radiograph,
        _box(landmarks, _number(whole, codes.BOX_SCORE)),
        landmarks,
        facing_source=source,
        weights=_weights(whole),
        doubts=doubts,
    )
    return CorrectedReport(document, header, reading, moved)


def _moved_in_words(moved: tuple[str, ...]) -> str:
    return f"{len(moved)} corners were placed by a reader: {', '.join(moved)}"


def _landmarks(
    points: dict[int, FloatArray], as_read: dict[int, dict[str, float]], reader_error_px: float | None
) -> tuple[SpineLandmarks, tuple[str, ...]]:
    placed, covariance, confidence = np.full((22, 2), np.nan), np.full((22, 2, 2), np.nan), np.zeros(22)
    moved = []
    for row, point in points.items():
        read = as_read.get(row)
        before = None if read is None else np.array([read[codes.READ_COLUMN.value], read[codes.READ_ROW.value]])
        if read is None or before is None or np.abs(to_dicom(before) - (point + 0.5)).max() > MOVED_PX:
            placed[row], confidence[row] = point, 1.0
            if reader_error_px is not None:
                covariance[row] = np.eye(2) * reader_error_px**2
            vertebra, corner = LANDMARKS[row]
            moved.append(f"{vertebra} {corner}")
            continue
        placed[row], confidence[row] = before, read[codes.CONFIDENCE.value]
        if codes.COVARIANCE.value in read:
            across = read[codes.COVARIANCE.value]
            covariance[row] = [[read[codes.VARIANCE_COLUMN.value], across], [across, read[codes.VARIANCE_ROW.value]]]
    return SpineLandmarks(placed, covariance, confidence), tuple(moved)


def _points_now(groups: list[Dataset]) -> dict[int, FloatArray]:
    """Row of each corner -> its (x, y) in film pixels."""
    points: dict[int, FloatArray] = {}
    for group in groups:
        if _finding(group) != codes.CORNER_FINDING.value:
            continue
        region = next(item for item in group.ContentSequence if item.ValueType == "SCOORD")
        if region.GraphicType != "POINT" or len(region.GraphicData) != 2:
            raise UnreadableReport("each corner must be one POINT; its graphic was changed to another kind")
        row = _row_of(group)
        if row in points:
            vertebra, corner = LANDMARKS[row]
            raise UnreadableReport(f"each corner must occur once; {vertebra} {corner} occurs again")
        points[row] = np.array([float(value) for value in region.GraphicData]) - 0.5
    return points


def _row_of(item: Dataset) -> int:
    """Of the corner that an item's finding site and its modifier name."""
    site = next(child for child in item.ContentSequence if _name(child) == _SITE)
    modifier = next(child for child in site.ContentSequence if _name(child) == _MODIFIER)
    vertebra = _VERTEBRA_OF[site.ConceptCodeSequence[0].CodeValue]
    corner: Corner = _CORNER_OF[modifier.ConceptCodeSequence[0].CodeValue]
    return LANDMARK_INDEX[vertebra, corner]


def _numbers_by_corner(group: Dataset) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            found.setdefault(_row_of(item), {})[_name(item)] = _value(item)
    return found


def _radiograph(whole: Dataset, header: Dataset, pixels: Radiograph | None) -> Radiograph:
    side = {code.value: side for side, code in codes.SIDE.items()}[_said(whole, codes.FACING)]
    postures = {code.value: posture for posture, code in codes.POSTURE.items()}
    posture: Posture | None = postures.get(_said(whole, codes.POSTURE_OF_FILM))
    spacing = None
    if (row_mm := _number(whole, codes.ROW_SPACING)) is not None:
        column_mm = _number(whole, codes.COLUMN_SPACING)
        assert column_mm is not None
        plane = {code.value: plane for plane, code in codes.PLANE.items()}[_said(whole, codes.SPACING_PLANE)]
        spacing = PixelSpacing(row_mm, column_mm, _text(whole, codes.SPACING_SOURCE), plane)
    if pixels is None:
        blank = np.zeros((header.Rows, header.Columns), np.float32)
        return Radiograph(blank, spacing, Side(side), posture)
    if (pixels.height, pixels.width) != (header.Rows, header.Columns):
        raise ValueError(
            f"the film must be that of the report, {header.Columns} x {header.Rows} pixels; got {pixels.width} x {pixels.height}"
        )
    return Radiograph(pixels.pixels, spacing, Side(side), posture)


def _header(document: Dataset) -> Dataset:
    """The film's header, as far as the report holds it: whose it is, its study, and the film that it is about."""
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (film,) = series.ReferencedSOPSequence
    about = Dataset()
    for element in document:
        if element.tag.group <= 0x20 and element.VR != "SQ":
            about[element.tag] = deepcopy(element)
    about.SOPClassUID, about.SOPInstanceUID = film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID
    about.SeriesInstanceUID, about.StudyInstanceUID = series.SeriesInstanceUID, study.StudyInstanceUID
    sizes = {_name(item): _value(item) for item in _walk(document) if item.ValueType == "NUM" and _is_size(item)}
    about.Rows, about.Columns = (int(sizes[name]) for name in ("110910", "110911"))
    about.Modality = "OT"
    return header_of(about)


def _is_size(item: Dataset) -> bool:
    return _name(item) in ("110910", "110911")


def _box(landmarks: SpineLandmarks, score: float | None) -> LumbosacralBox | None:
    if score is None or not landmarks.present.any():
        return None
    low, high = np.nanmin(landmarks.points_px, axis=0), np.nanmax(landmarks.points_px, axis=0)
    return LumbosacralBox(float(low[0]), float(low[1]), float(high[0]), float(high[1]), score)


def _weights(whole: Dataset) -> dict[str, str]:
    texts = [item.TextValue for item in whole.ContentSequence if _name(item) == "111002"]
    return {name: sha256 for name, _, sha256 in (text.split(" ") for text in texts)}


def _groups(document: Dataset) -> Iterator[Dataset]:
    for item in document.ContentSequence:
        if _name(item) == _MEASUREMENTS:
            yield from (group for group in item.ContentSequence if _name(group) == _GROUP)


def _about_corners(document: Dataset) -> Iterator[Dataset]:
    return (group for group in _groups(document) if _finding(group) == codes.CORNER_FINDING.value)


def _finding(group: Dataset) -> str:
    found = [item for item in group.ContentSequence if _name(item) == "121071"]
    return str(found[0].ConceptCodeSequence[0].CodeValue) if found else ""


def _said(group: Dataset, name: Code) -> str:
    """The code that a group gives for a name; empty where it gives none."""
    found = [item for item in group.ContentSequence if item.ValueType == "CODE" and _name(item) == name.value]
    return str(found[0].ConceptCodeSequence[0].CodeValue) if found else ""


def _number(group: Dataset, name: Code) -> float | None:
    found = [item for item in group.ContentSequence if item.ValueType == "NUM" and _name(item) == name.value]
    return _value(found[0]) if found else None


def _text(group: Dataset, name: Code) -> str:
    return str(next(item for item in group.ContentSequence if _name(item) == name.value).TextValue)


def _value(item: Dataset) -> float:
    measured = item.MeasuredValueSequence[0]
    exact = value_of(measured, "FloatingPointValue")
    return float(measured.NumericValue if exact is None else exact)


def _name(item: Dataset) -> str:
    concept = value_of(item, "ConceptNameCodeSequence")
    return str(concept[0].CodeValue) if concept else ""


def _walk(item: Dataset) -> Iterator[Dataset]:
    for child in value_of(item, "ContentSequence") or ():
        yield child
        yield from _walk(child)
