"""Reading -> Grayscale Softcopy Presentation State: the constructions as lines over the film, for viewers that draw them."""

from __future__ import annotations

import numpy as np
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom import Dataset

from lumbar.anatomy import LEVELS, Corner, Vertebra, rows_of
from lumbar.geometry import FloatArray
from lumbar.measurements import DISPLACEMENT_AT, INTERVERTEBRAL_ANGLE, Measurement
from lumbar.pacs.header import MANUFACTURER, MODEL, Origin
from lumbar.pacs.sr_items import to_dicom
from lumbar.reading import NOTICE, Reading
from lumbar.report.constructions import ANGLE, constructions, outlines

_PIXEL = AnnotationUnitsValues.PIXEL


class NoPresentation(ValueError):
    """The film is of a kind that a grayscale presentation state cannot be about."""


def presentation_state(header: Dataset, reading: Reading, origin: Origin) -> Dataset:
    """Corners, bodies and displacements as lines, and names, figures and the notice as text, in the layer LUMBAR.

    origin: of its UIDs. Raises NoPresentation for a film in colour.
    """
    if header.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise NoPresentation("a film in colour takes no grayscale presentation state")
    layer = GraphicLayer("LUMBAR", order=1, description="lumbar: constructions")
    annotation = GraphicAnnotation(
        [header], layer, graphic_objects=_lines(reading) or None, text_objects=_texts(reading)
    )
    state = GrayscaleSoftcopyPresentationState(
        [header],
        series_instance_uid=origin.uid("presentation series"),
        series_number=9002,
        sop_instance_uid=origin.uid("presentation"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=reading.software_version,
        device_serial_number="1",
        content_label="LUMBAR",
        content_description="lumbar: constructions. Research use only",
        graphic_annotations=[annotation],
        graphic_layers=[layer],
        series_description="lumbar: constructions",
    )
    state.Laterality = ""
    return state


def _lines(reading: Reading) -> list[GraphicObject]:
    lines = [*outlines(reading), *(line for line in constructions(reading) if line.kind != ANGLE)]
    corners = reading.landmarks.points_px[reading.landmarks.present]
    drawn = [(GraphicTypeValues.POLYLINE, np.array([line.start, line.end])) for line in lines]
    drawn += [(GraphicTypeValues.POINT, corner.reshape(1, 2)) for corner in corners]
    return [
        GraphicObject(kind, np.clip(to_dicom(line), 0, [reading.width, reading.height]), _PIXEL) for kind, line in drawn
    ]


def _texts(reading: Reading) -> list[TextObject]:
    points = reading.landmarks.points_px
    said = [(NOTICE, np.array([0.0, reading.height - 1.0]))]
    for vertebra in Vertebra:
        corners = points[rows_of(vertebra)]
        if not np.isnan(corners).any():
            said.append((vertebra.value, corners.mean(axis=0)))
    for level in LEVELS:
        place = points[rows_of(level.upper)][list(Corner).index(Corner.INFERIOR_POSTERIOR)]
        if words := _figures(reading, str(level)):
            said.append((f"{level} {words}", place))
    return [
        TextObject(text, _PIXEL, anchor_point=_inside(at, reading), anchor_point_visible=False) for text, at in said
    ]


def _figures(reading: Reading, site: str) -> str:
    found = (reading.measured(name, site) for name in (DISPLACEMENT_AT[site], INTERVERTEBRAL_ANGLE.name))
    return "  ".join(f"{m.value:+.1f} {m.unit}" for m in found if isinstance(m, Measurement))


def _inside(at: FloatArray, reading: Reading) -> tuple[float, float]:
    x, y = np.clip(to_dicom(at), 0, [reading.width, reading.height])
    return float(x), float(y)
