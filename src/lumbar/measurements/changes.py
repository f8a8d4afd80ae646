"""What changes at a level from one film of a patient to another: how far it translates and how far it turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import LANDMARK_INDEX, LEVELS, Level, Vertebra
from lumbar.geometry import FloatArray
from lumbar.landmarks.same_bodies import joint_covariance
from lumbar.landmarks.spine import COUNT, AnatomicalSpine
from lumbar.measurements.levels import (
    ENDPLATE_DISPLACEMENT,
    INTERVERTEBRAL_ANGLE,
    SLIP,
    WALL_DISPLACEMENT,
    Quantity,
    gradient,
    measured_at,
)
from lumbar.measurements.quantity import Measurement, Unmeasurable

Figure = Measurement | Unmeasurable


def displacement_at(level: Level) -> Quantity:
    """Which sagittal displacement is compared at a level: the paper's, from the posterior wall; at L5/S1 that along the endplate.

    S1 has no posterior-inferior corner, so the paper's construction is undefined there.
    """
    return ENDPLATE_DISPLACEMENT if level.lower is Vertebra.S1 else WALL_DISPLACEMENT


DISPLACEMENT_AT: Mapping[str, str] = {str(level): displacement_at(level).name for level in LEVELS}
"""Its name by site."""


@dataclass(frozen=True, slots=True, eq=False)
class LevelChange:
    """One level, flexion less extension, or why there is no such figure.

    translation: of the displacement in mm, anterior +. slip: of the slip in % of the endplate. angulation: of the intervertebral angle in
    degrees, opening anteriorly +. covariance (3, 3): of the errors of those three, in their order; NaN where not known.
    """

    site: str
    translation: Figure
    slip: Figure
    angulation: Figure
    covariance: FloatArray

    @property
    def figures(self) -> tuple[Figure, Figure, Figure]:
        """Translation, slip, angulation."""
        return self.translation, self.slip, self.angulation

    def unmeasurable(self, reason: str) -> LevelChange:
        """The level without any figure, for this reason."""
        translation, slip, angulation = (Unmeasurable(figure.quantity, self.site, reason) for figure in self.figures)
        return LevelChange(self.site, translation, slip, angulation, np.full((3, 3), np.nan))


def measure_changes(
    flexion: AnatomicalSpine, extension: AnatomicalSpine, covariance: FloatArray | None = None
) -> tuple[LevelChange, ...]:
    """Every level from L1/L2 down.

    covariance (88, 88): of the coordinates of both films together, those of flexion first, landmark by landmark, x before y;
    without it the films' own errors are taken, as independent of each other.
    """
    joint = joint_covariance((flexion, extension)) if covariance is None else covariance
    if joint.shape != (4 * COUNT, 4 * COUNT):
        raise ValueError(f"covariance must have shape {(4 * COUNT, 4 * COUNT)}; got {joint.shape}")
    return tuple(_change_at(level, flexion, extension, joint) for level in LEVELS)


def _change_at(level: Level, flexion: AnatomicalSpine, extension: AnatomicalSpine, joint: FloatArray) -> LevelChange:
    quantities = (displacement_at(level), SLIP, INTERVERTEBRAL_ANGLE)
    gradients = np.zeros((3, len(joint)))
    for row, quantity in enumerate(quantities):
        for film, (spine, sign) in enumerate(((flexion, 1.0), (extension, -1.0))):
            rows = [LANDMARK_INDEX[landmark] for landmark in quantity.of(level.upper, level.lower)]
            columns = film * 2 * COUNT + np.array([[2 * i, 2 * i + 1] for i in rows])
            gradients[row, columns] = sign * gradient(quantity, spine.points[rows])
    used = np.abs(np.nan_to_num(gradients)).max(axis=0) > 0
    covariance: FloatArray = np.asarray(gradients[:, used] @ joint[np.ix_(used, used)] @ gradients[:, used].T)
    if not np.isfinite(covariance).all():  # what one quantity lacks must not cost the others their errors
        covariance = _each_alone(gradients, joint)
    figures = [
        _change(name, quantity, level, flexion, extension, covariance[row, row])
        for row, (name, quantity) in enumerate(zip(("translation", "slip", "angulation"), quantities, strict=True))
    ]
    return LevelChange(str(level), figures[0], figures[1], figures[2], covariance)


def _change(
    name: str, quantity: Quantity, level: Level, flexion: AnatomicalSpine, extension: AnatomicalSpine, variance: float
) -> Figure:
    bent, straight = (measured_at(level, quantity, spine) for spine in (flexion, extension))
    if isinstance(bent, Unmeasurable) or isinstance(straight, Unmeasurable):
        why: dict[str, list[str]] = {}
        for film, posture in ((bent, "flexion"), (straight, "extension")):
            if isinstance(film, Unmeasurable):
                why.setdefault(film.reason, []).append(posture)
        reason = "; ".join(f"{reason} (in {' and '.join(postures)})" for reason, postures in why.items())
        return Unmeasurable(name, str(level), reason)
    error = float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else None
    method = f"{quantity.name}, flexion - extension"
    return Measurement(name, str(level), bent.value - straight.value, quantity.unit, error, method)


def _each_alone(gradients: FloatArray, joint: FloatArray) -> FloatArray:
    covariance = np.full((3, 3), np.nan)
    for i in range(3):
        for j in range(3):
            used = (gradients[i] != 0) | (gradients[j] != 0)
            covariance[i, j] = gradients[i, used] @ joint[np.ix_(used, used)] @ gradients[j, used]
    return covariance
