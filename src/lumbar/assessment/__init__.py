"""Measurements -> verdicts, by named criteria."""

from lumbar.assessment.meyerding import SlipGrade, grade_of, grade_slip
from lumbar.assessment.stability import (
    DISPLACEMENT_AT,
    PAPER,
    StabilityAssessment,
    StabilityCriteria,
    Verdict,
    assess_level,
    assess_stability,
)

__all__ = [
    "DISPLACEMENT_AT",
    "PAPER",
    "SlipGrade",
    "StabilityAssessment",
    "StabilityCriteria",
    "Verdict",
    "assess_level",
    "assess_stability",
    "grade_of",
    "grade_slip",
]
