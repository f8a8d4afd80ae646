"""Figures as people read them: rounded, with their sign, their unit and their error."""

from __future__ import annotations

from lumbar.assessment import SlipGrade
from lumbar.measurements import Measurement, Unmeasurable
from lumbar.radiograph import PixelSpacing

_ROMAN = ("0", "I", "II", "III", "IV", "V")
_SIGNS = {"deg": "°", "mm": " mm", "%": " %"}


def grade_in_words(grade: SlipGrade) -> str:
    """Such as "anterolisthesis, grade II".

    >>> grade_in_words(SlipGrade("L4/L5", 31.0, 2, "anterolisthesis", None))
    'anterolisthesis, grade II'
    >>> grade_in_words(SlipGrade("L4/L5", 1.0, 0, "none", None))
    'no slip'
    """
    return "no slip" if grade.grade == 0 else f"{grade.direction}, grade {_ROMAN[grade.grade]}"


def figure(found: Measurement | Unmeasurable, signed: bool = True) -> str:
    """The value with its sign (lengths that have none: without) and, where it is known, its standard error; a dash where there is none.

    >>> figure(Measurement("slip", "L4/L5", 12.345, "%", 1.04, ""))
    '+12.3 ± 1.0 %'
    >>> figure(Measurement("intervertebral_angle", "L4/L5", -0.04, "deg", None, ""))
    '0.0°'
    """
    if isinstance(found, Unmeasurable):
        return "–"
    value = f"{found.value:+.1f}" if signed else f"{found.value:.1f}"
    if float(value) == 0:
        value = "0.0"
    error = "" if found.standard_error is None else f" ± {found.standard_error:.1f}"
    return f"{value}{error}{_SIGNS.get(found.unit, ' ' + found.unit)}"


def percent(probability: float | None) -> str:
    """A probability for people: never a bare 0 or 100 % that was not certain.

    >>> percent(0.734), percent(0.9999), percent(None)
    ('73 %', '> 99 %', '–')
    """
    if probability is None:
        return "–"
    if 0.99 < probability < 1:
        return "> 99 %"
    if 0 < probability < 0.01:
        return "< 1 %"
    return f"{probability:.0%}".replace("%", " %")


def spacing_in_words(spacing: PixelSpacing | None) -> str:
    """Size, source and plane.

    >>> spacing_in_words(PixelSpacing(0.2, 0.2, "--spacing", "patient")), spacing_in_words(None)
    ('0.2 mm, from --spacing, in the patient plane', 'unknown')
    """
    if spacing is None:
        return "unknown"
    size = (
        f"{spacing.row_mm:.4g} mm"
        if spacing.row_mm == spacing.column_mm
        else f"{spacing.row_mm:.4g} x {spacing.column_mm:.4g} mm"
    )
    return f"{size}, from {spacing.source}, in the {spacing.plane} plane"
