"""A study's films read together, and what is said of it as a row: who is who, and how far each level moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lumbar.assessment import CRITERIA
from lumbar.postures import order_by_posture
from lumbar.reading import Reading
from lumbar.study import LevelAssessment, assess_study

COMPARED, NOT_COMPARED = "compared", "not compared"

LEVEL = [
    ("site", pa.string()), ("translation_mm", pa.float64()), ("translation_standard_error_mm", pa.float64()),
    ("slip_change_percent", pa.float64()), ("slip_change_standard_error_percent", pa.float64()),
    ("angulation_deg", pa.float64()), ("angulation_standard_error_deg", pa.float64()), ("not_measured", pa.string()),
    ("verdict", pa.string()), ("probability", pa.float64()), ("verdict_reason", pa.string()), ("criteria", pa.string()),
    ("slip_percent", pa.float64()), ("slip_standard_error_percent", pa.float64()), ("slip_film", pa.string()),
    ("grade", pa.int32()), ("direction", pa.string()),
]  # fmt: skip
STUDY = [
    ("study", pa.string()), ("status", pa.string()), ("reason", pa.string()), ("flexion", pa.string()),
    ("neutral", pa.string()), ("extension", pa.string()), ("postures_told_by", pa.string()),
    ("lordosis_change_deg", pa.float64()), ("warnings", pa.list_(pa.string())),
]  # fmt: skip
SCHEMA = pa.schema([*STUDY, ("levels", pa.list_(pa.struct(LEVEL))), ("assessment", pa.string())])
"""Of a shard's studies: a row a study, with every level, and the whole assessment as `lumbar assess` writes it, in JSON."""

MOTIONS = pa.schema([("study", pa.string()), *LEVEL])


def row_of_study(study: str, readings: Mapping[str, Reading], criteria: str) -> dict[str, Any]:
    """How the films of one patient compare, or why they cannot be compared.

    readings: of each film that could be read, by its name. criteria: of `assessment.CRITERIA`.
    """
    try:
        roles = order_by_posture(list(readings.values()))
        found = assess_study(*roles, criteria=CRITERIA[criteria], told_by="lordosis")
    except ValueError as problem:
        return row_of_failed_study(study, str(problem))
    names = {id(reading): name for name, reading in readings.items()}
    films = {role: names.get(id(reading)) for role, reading in roles._asdict().items()}
    told_by = sorted(set(found.posture_sources.values()))
    return {
        "study": study,
        "status": COMPARED,
        **films,
        "postures_told_by": ", ".join(told_by),
        "lordosis_change_deg": found.lordosis_change_deg,
        "warnings": list(found.warnings),
        "levels": [_level(level) for level in found.levels],
        "assessment": found.to_json(),
    }


def row_of_failed_study(study: str, reason: str) -> dict[str, Any]:
    """A study whose films cannot be compared."""
    return {"study": study, "status": NOT_COMPARED, "reason": reason, "warnings": [], "levels": []}


def rows_of_motions(studies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every level of these rows as a row of its own."""
    return [{"study": row["study"], **level} for row in studies for level in row["levels"]]


def _level(level: LevelAssessment) -> dict[str, Any]:
    said = level.to_json()
    reasons = [value["reason"] for value in said.values() if isinstance(value, dict) and "reason" in value]
    return {
        **{name: None if isinstance(said.get(name), dict) else said.get(name) for name, _ in LEVEL},
        "not_measured": "; ".join(dict.fromkeys(reasons)) or None,
        "criteria": level.verdict.criteria,
    }
