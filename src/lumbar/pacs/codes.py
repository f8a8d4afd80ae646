"""Every coded concept that stands in a result: public ones where there are such, and a private scheme for the rest.

`PRIVATE` is the scheme's one table; docs/dicom.md prints it, and a test compares the two.
"""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.coding import Code

from lumbar.anatomy import Corner, Posture, Side
from lumbar.assessment import CRITERIA, Verdict
from lumbar.measurements import BODY_QUANTITIES, DISC_QUANTITIES, LORDOSIS, QUANTITIES, SACRAL_SLOPE

SCHEME = "99LUMBAR"
SCHEME_UID = "2.25.90234127891394987263277350440586484185"

NOTICE_TITLE = Code("121106", "DCM", "Comment")
IMAGING_PROCEDURE = Code("43468-8", "LN", "XR unspecified body region")
PIXEL = Code("{pixels}", "UCUM", "Pixels")
SQUARE_PIXEL = Code("{pixels}2", "UCUM", "Square pixels")
UNITS = {
    "mm": Code("mm", "UCUM", "mm"),
    "deg": Code("deg", "UCUM", "degree"),
    "%": Code("%", "UCUM", "percent"),
    "1": Code("1", "UCUM", "no units"),
}

SPINE = Code("122496007", "SCT", "Lumbar spine")
SITES = {
    "L1": Code("66794005", "SCT", "L1 vertebra"),
    "L2": Code("14293000", "SCT", "L2 vertebra"),
    "L3": Code("36470004", "SCT", "L3 vertebra"),
    "L4": Code("11994002", "SCT", "L4 vertebra"),
    "L5": Code("49668003", "SCT", "L5 vertebra"),
    "S1": Code("65985001", "SCT", "S1 vertebra"),
    "L1/L2": Code("243920003", "SCT", "L1-L2 intervertebral level"),
    "L2/L3": Code("243921004", "SCT", "L2-L3 intervertebral level"),
    "L3/L4": Code("243922006", "SCT", "L3-L4 intervertebral level"),
    "L4/L5": Code("243923001", "SCT", "L4-L5 intervertebral level"),
    "L5/S1": Code("243927000", "SCT", "L5-S1 intervertebral level"),
    "L1-S1": SPINE,
}
"""By the site's name in the JSON."""

_QUANTITY_CODES = {
    "sagittal_displacement_wall": "SD-WALL",
    "sagittal_displacement_endplate": "SD-ENDPLATE",
    "slip": "SLIP",
    "intervertebral_angle": "IVA",
    "disc_height_anterior": "DISC-H-ANT",
    "disc_height_middle": "DISC-H-MID",
    "disc_height_posterior": "DISC-H-POST",
    "disc_height_index": "DISC-H-INDEX",
    "segmental_lordosis": "SEG-LORDOSIS",
    "anterior_height": "BODY-H-ANT",
    "posterior_height": "BODY-H-POST",
    "height_ratio": "BODY-H-RATIO",
    "wedge_angle": "WEDGE",
    "lordosis": "LORDOSIS",
    "sacral_slope": "SACRAL-SLOPE",
}
_CHANGE_CODES = {
    "translation": ("D-TRANSLATION", "Change of sagittal displacement, flexion less extension"),
    "slip_change": ("D-SLIP", "Change of slip, flexion less extension"),
    "angulation": ("D-ANGLE", "Change of intervertebral angle, flexion less extension"),
    "lordosis_change": ("D-LORDOSIS", "Change of lordosis, extension less flexion"),
}
_METHODS = {q.name: q for q in (*QUANTITIES, *DISC_QUANTITIES, *BODY_QUANTITIES, LORDOSIS, SACRAL_SLOPE)}
_DIRECTIONS = ("anterolisthesis", "retrolisthesis", "none")
_PLANES = ("patient", "detector", "unknown")
_FACING_SOURCES = {"film": "FILM", "--facing": "OPTION", "DICOM": "DICOM", "given": "PROGRAM"}


def _private(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


QUANTITY = {name: _private(value, _words(name)) for name, value in _QUANTITY_CODES.items()} | {
    name: _private(value, meaning) for name, (value, meaning) in _CHANGE_CODES.items()
}
"""By the quantity's name in the JSON."""

METHOD = {name: _private(f"M-{value}", _METHODS[name].method[:64]) for name, value in _QUANTITY_CODES.items()}
CORNER = {
    corner: _private("".join(word[0] for word in corner.split("_")).upper(), f"{_words(corner)} corner")
    for corner in Corner
}
SIDE = {side: _private(f"FACES-{side.upper()}", f"Anterior on the {side} of the film") for side in Side}
POSTURE = {posture: _private(posture.upper(), posture.capitalize()) for posture in Posture}
FACING_SOURCE = {
    name: _private(f"FACING-{value}", f"Facing known from: {name}") for name, value in _FACING_SOURCES.items()
}
PLANE = {plane: _private(f"PLANE-{plane.upper()}", f"Spacing holds in: {plane} plane") for plane in _PLANES}
GRADE = tuple(
    _private(f"GRADE-{k}", f"Meyerding grade {roman}") for k, roman in enumerate(("0", "I", "II", "III", "IV", "V"))
)
GRADE_AT_LEAST = tuple(_private(f"P-GRADE-{k}", f"Probability of Meyerding grade {k} or higher") for k in range(1, 6))
DIRECTION = {name: _private(f"SLIP-{name.upper()[:6]}", f"Direction of slip: {name}") for name in _DIRECTIONS}
VERDICT = {verdict: _private(verdict.upper(), verdict.capitalize()) for verdict in Verdict}
CRITERIA_CODE = {name: _private(f"C-{name.upper()[:14]}", f"Criteria: {name}") for name in CRITERIA}

CORNER_FINDING = _private("CORNER", "Corner of a vertebral body on a lateral film")
CORNERS_READ = _private("CORNERS-READ", "Corners as the networks read them")
FILM_FINDING = _private("FILM", "Lateral lumbar film as a whole")
STANDARD_ERROR = _private("SE", "Standard error")
CONFIDENCE = _private("CONFIDENCE", "Confidence of the networks, no probability")
READ_COLUMN = _private("READ-X", "Column of the corner as read, centre of the first pixel 0")
READ_ROW = _private("READ-Y", "Row of the corner as read, centre of the first pixel 0")
VARIANCE_COLUMN = _private("VAR-X", "Variance of the column")
VARIANCE_ROW = _private("VAR-Y", "Variance of the row")
COVARIANCE = _private("COV-XY", "Covariance of column and row")
BOX_SCORE = _private("BOX-SCORE", "Score of the lumbosacral box")
ROW_SPACING = _private("ROW-MM", "Distance of pixel rows as used")
COLUMN_SPACING = _private("COLUMN-MM", "Distance of pixel columns as used")
SPACING_SOURCE = _private("SPACING-SOURCE", "Where the pixel spacing came from")
SPACING_PLANE = _private("SPACING-PLANE", "Plane in which the pixel spacing holds")
FACING = _private("FACING", "Which way the film faces")
FACING_KNOWN = _private("FACING-SOURCE", "How the facing is known")
POSTURE_OF_FILM = _private("POSTURE", "Posture of the patient")
GRADE_OF_SLIP = _private("MEYERDING", "Meyerding grade of the slip")
DIRECTION_OF_SLIP = _private("SLIP-DIRECTION", "Direction of the slip")
STABILITY = _private("STABILITY", "Stability of the level")
P_UNSTABLE = _private("P-UNSTABLE", "Probability of being unstable")
UNMEASURABLE = _private("UNMEASURABLE", "Could not be measured")

_SINGLE = (
    CORNER_FINDING, CORNERS_READ, FILM_FINDING, STANDARD_ERROR, CONFIDENCE, READ_COLUMN, READ_ROW, VARIANCE_COLUMN, VARIANCE_ROW,
    COVARIANCE, BOX_SCORE, ROW_SPACING, COLUMN_SPACING, SPACING_SOURCE, SPACING_PLANE, FACING, FACING_KNOWN, POSTURE_OF_FILM,
    GRADE_OF_SLIP, DIRECTION_OF_SLIP, STABILITY, P_UNSTABLE, UNMEASURABLE,
)  # fmt: skip
_TABLES = (
    QUANTITY, METHOD, CORNER, SIDE, POSTURE, FACING_SOURCE, PLANE, dict(enumerate(GRADE)), dict(enumerate(GRADE_AT_LEAST)), DIRECTION,
    VERDICT, CRITERIA_CODE,
)  # fmt: skip
PRIVATE: tuple[Code, ...] = (*_SINGLE, *(code for table in _TABLES for code in table.values()))
"""The private scheme, each code once."""


def scheme() -> CodingSchemeIdentificationItem:
    """What a result says of the private scheme."""
    return CodingSchemeIdentificationItem(
        designator=SCHEME,
        name="lumbar: measurements of lateral lumbar films",
        version="1",
        uid=SCHEME_UID,
        responsible_organization="The lumbar developers",
    )


def as_table() -> str:
    """The private scheme as a table in Markdown: what docs/dicom.md holds."""
    rows = (f"| `{code.value}` | {code.meaning.replace('|', chr(92) + '|')} |" for code in PRIVATE)
    return "\n".join(("| code | meaning |", "|---|---|", *rows))
