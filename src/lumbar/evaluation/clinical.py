"""What a clinician reads off: angles, displacements, grades and verdicts, found against true (the paper's eqs 12 to 15)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import Posture
from lumbar.assessment import Verdict, assess_stability, grade_of
from lumbar.evaluation.agreement import Agreement
from lumbar.evaluation.landmark_scores import Figure
from lumbar.evaluation.read_case import ReadCase
from lumbar.evaluation.resampling import patient_bootstrap
from lumbar.geometry import FloatArray
from lumbar.landmarks.spine import AnatomicalSpine
from lumbar.measurements import (
    ENDPLATE_DISPLACEMENT,
    INTERVERTEBRAL_ANGLE,
    SLIP,
    WALL_DISPLACEMENT,
    LevelChange,
    Measurement,
    Unmeasurable,
    measure,
    measure_changes,
    measure_lordosis,
    measure_sacral_slope,
)

Study = Mapping[Posture, ReadCase]

Values = dict[tuple[str, str], float]


def values_of(spine: AnatomicalSpine) -> Values:
    """Everything that could be measured, by quantity and site."""
    every = (*measure(spine), measure_lordosis(spine), measure_sacral_slope(spine))
    return {(m.quantity, m.site): m.value for m in every if isinstance(m, Measurement)}


@dataclass(frozen=True, slots=True)
class QuantityScores:
    """Agreement of one quantity over all sites of all films, and how many values a missed corner cost."""

    quantity: str
    unit: str
    agreement: Agreement
    unmeasured: int


def score_quantities(cases: Sequence[ReadCase]) -> tuple[QuantityScores, ...]:
    """Sacral slope, lordosis, intervertebral angles, displacements and slip: found against what the true corners give."""
    true = [values_of(case.spine(case.truth_px)) for case in cases]
    found = [values_of(case.spine(case.found_px)) for case in cases]
    units = {WALL_DISPLACEMENT.name: "mm", ENDPLATE_DISPLACEMENT.name: "mm", SLIP.name: "%"}
    scores = []
    for quantity in (
        "sacral_slope",
        "lordosis",
        INTERVERTEBRAL_ANGLE.name,
        WALL_DISPLACEMENT.name,
        ENDPLATE_DISPLACEMENT.name,
        SLIP.name,
    ):
        pairs, unmeasured = [], 0
        for known, read in zip(true, found, strict=True):
            for key in (key for key in known if key[0] == quantity):
                if key in read:
                    pairs.append((read[key], known[key]))
                else:
                    unmeasured += 1
        columns = np.array(pairs).reshape(-1, 2).T
        scores.append(
            QuantityScores(quantity, units.get(quantity, "deg"), Agreement.of(columns[0], columns[1]), unmeasured)
        )
    return tuple(scores)


def signed_grade(slip_percent: float) -> int:
    """The grade of `assessment.grade_of`, negative for a retrolisthesis."""
    return int(np.sign(slip_percent)) * grade_of(slip_percent)


def grading_accuracy(cases: Sequence[ReadCase], seed: int = 0, grade: Callable[[float], int] = signed_grade) -> Figure:
    """% of levels whose Meyerding grade is that of the true corners (eq. 15 by what it is used for).

    grade: of a slip in percent; with direction, grade 0 and its noise floor unless another is asked for, such as `quarter_of`, the paper's.
    A level that could not be measured counts as wrong.
    """
    right, levels = [], []
    for case in cases:
        known, read = (
            {
                site: grade(value)
                for (quantity, site), value in values_of(case.spine(p)).items()
                if quantity == SLIP.name
            }
            for p in (case.truth_px, case.found_px)
        )
        right.append(sum(read.get(site) == true for site, true in known.items()))
        levels.append(len(known))
    return _share(right, levels, [case.patient for case in cases], seed)


@dataclass(frozen=True, slots=True)
class StudyScores:
    """Of studies with flexion and extension, over five levels each.

    angle_deg, displacement_mm: mean errors of the change of ISA and SD between the two films (eqs 12 and 13); at L5/S1, where the
    paper's displacement is undefined, along the endplate. stability: % of levels with the true verdict (eq. 14 by what it is
    used for), by the paper's thresholds alone, without error bars; a level that could not be measured counts as wrong.
    unmeasured: changes that a missed corner cost, left out of the two errors.
    """

    studies: int
    angle_deg: Figure
    displacement_mm: Figure
    stability: Figure
    unmeasured: int


def score_studies(studies: Sequence[Study], seed: int = 0) -> StudyScores:
    """Changes and verdicts, found against those of the true corners. Films must have a pixel spacing.

    Raises ValueError where a study lacks flexion or extension, or there is none.
    """
    if not studies:
        raise ValueError("studies must hold at least one study; got none")
    for study in studies:
        if not {Posture.FLEXION, Posture.EXTENSION} <= set(study):
            raise ValueError(f"a study needs flexion and extension; got {', '.join(study) or 'no film'}")
    true = [_changes(study, lambda case: case.truth_px) for study in studies]
    found = [_changes(study, lambda case: case.found_px) for study in studies]
    angle, displacement = (
        np.array(
            [
                [_apart(getattr(f, what), getattr(t, what)) for f, t in zip(fs, ts, strict=True)]
                for fs, ts in zip(found, true, strict=True)
            ]
        )
        for what in ("angulation", "translation")
    )
    verdicts = [[[level.verdict for level in assess_stability(c)] for c in side] for side in (found, true)]
    decided = [sum(verdict is not Verdict.UNDETERMINED for verdict in known) for known in verdicts[1]]
    right = [
        sum(f is t and t is not Verdict.UNDETERMINED for f, t in zip(read, known, strict=True))
        for read, known in zip(*verdicts, strict=True)
    ]
    patients = [study[Posture.FLEXION].patient for study in studies]
    return StudyScores(
        len(studies),
        _mean_error(angle, patients, seed),
        _mean_error(displacement, patients, seed),
        _share(right, decided, patients, seed),
        int(np.isnan(angle).sum() + np.isnan(displacement).sum()),
    )


def _changes(study: Study, points: Callable[[ReadCase], FloatArray]) -> tuple[LevelChange, ...]:
    flexion, extension = (study[p].spine(points(study[p])) for p in (Posture.FLEXION, Posture.EXTENSION))
    return measure_changes(flexion, extension)


def _apart(found: Measurement | Unmeasurable, true: Measurement | Unmeasurable) -> float:
    if isinstance(found, Unmeasurable) or isinstance(true, Unmeasurable):
        return float("nan")
    return abs(found.value - true.value)


def _mean_error(errors: FloatArray, patients: Sequence[str], seed: int) -> Figure:
    def statistic(films: np.ndarray) -> FloatArray:
        known = errors[films][~np.isnan(errors[films])]
        return np.array([known.mean() if known.size else np.nan])

    ((low, high),) = patient_bootstrap(patients, statistic, seed=seed)
    return Figure(float(statistic(np.arange(len(errors)))[0]), float(low), float(high))


def _share(right: Sequence[int], of: Sequence[int], patients: Sequence[str], seed: int) -> Figure:
    hits, all_ = np.array(right, float), np.array(of, float)

    def statistic(films: np.ndarray) -> FloatArray:
        return np.array([100 * hits[films].sum() / all_[films].sum() if all_[films].sum() else np.nan])

    ((low, high),) = patient_bootstrap(patients, statistic, seed=seed)
    return Figure(float(statistic(np.arange(len(hits)))[0]), float(low), float(high))
