"""Readings and studies as HTML pages that need no other file and call no other host."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray

from lumbar.anatomy import Posture
from lumbar.assessment import COUNTER_EVIDENCE, CRITERIA
from lumbar.measurements import BODY_QUANTITIES, DISC_QUANTITIES, LORDOSIS, QUANTITIES, SACRAL_SLOPE, Unmeasurable
from lumbar.reading import NOTICE, Reading
from lumbar.report.rows import further_tables, heading, level_rows, motion_rows, wedged_bodies, whole_spine
from lumbar.report.words import spacing_in_words
from lumbar.study import StudyAssessment

_EVERY = (*QUANTITIES, *DISC_QUANTITIES, *BODY_QUANTITIES, LORDOSIS, SACRAL_SLOPE)


def reading_page(reading: Reading, overlay: NDArray[np.uint8], signed: Sequence[str] = ()) -> str:
    """One film: its overlay (H, W, 3) RGB, the table of measurements with their errors, reasons, doubts and provenance.

    signed: sentences that say who signed it and when.
    """
    return _template("reading.html").render(
        reading=reading,
        picture=_as_data_url(overlay),
        notice=NOTICE,
        headings=[heading(quantity.name) for quantity in QUANTITIES],
        methods={heading(quantity.name): quantity.method for quantity in _EVERY},
        rows=level_rows(reading),
        further=further_tables(reading),
        whole=whole_spine(reading),
        wedged=wedged_bodies(reading),
        reasons=sorted({e.reason for e in reading.measurements if isinstance(e, Unmeasurable)}),
        spacing=spacing_in_words(reading.spacing),
        signed=signed,
    )


def study_page(
    study: StudyAssessment, overlays: Mapping[Posture, NDArray[np.uint8]], signed: Sequence[str] = ()
) -> str:
    """A study: the films side by side, and the motion, slip and verdict of each level. signed: as in `reading_page`."""
    pictures = [
        (posture, study.films[posture], _as_data_url(overlays[posture])) for posture in Posture if posture in overlays
    ]
    criteria = [study.criteria, *(entry for entry in CRITERIA.values() if entry.name != study.criteria.name)]
    return _template("study.html").render(
        study=study,
        rows=motion_rows(study),
        signed=signed,
        pictures=pictures,
        notice=NOTICE,
        criteria=criteria,
        counter_evidence=COUNTER_EVIDENCE,
    )


def _as_data_url(picture: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


@cache
def _template(name: str) -> Template:
    pages = Environment(loader=PackageLoader("lumbar", "report"), autoescape=True, undefined=StrictUndefined)
    return pages.get_template(name)
