"""Measurements -> verdicts, by named criteria."""

from lumbar.assessment.criteria import COUNTER_EVIDENCE, CRITERIA, PAPER, StabilityCriteria
from lumbar.assessment.meyerding import SlipGrade, grade_of, grade_slip, quarter_of
from lumbar.assessment.stability import StabilityAssessment, Verdict, assess_level, assess_stability

__all__ = [
    "COUNTER_EVIDENCE",
    "CRITERIA",
    "PAPER",
    "SlipGrade",
    "StabilityAssessment",
    "StabilityCriteria",
    "Verdict",
    "assess_level",
    "assess_stability",
    "grade_of",
    "grade_slip",
    "quarter_of",
]
