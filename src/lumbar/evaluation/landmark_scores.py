"""How far corners are off: MAE, MRE and SDR of the paper (eqs 9 to 11), with every annotated corner counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import LANDMARKS, Corner
from lumbar.evaluation.read_case import LEVEL_ROWS, ReadCase, Unit
from lumbar.evaluation.resampling import patient_bootstrap
from lumbar.geometry import FloatArray

THRESHOLDS: dict[Unit, tuple[float, ...]] = {
    Unit.INPUT_PX: (5, 6, 7, 8, 9, 10),
    Unit.FILM_PX: (5, 6, 7, 8, 9, 10),
    Unit.DIAGONAL: (0.2, 0.55),
    Unit.MM: (2, 3, 4, 5),
    Unit.DEPTH: (0.05, 0.1),
}
"""Radii of the successful detection rate: the paper's in px and mm."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LandmarkScores:
    """Of a set of films, in one unit.

    mae: mean of |dx| + |dy| (eq. 9 with the L1 norm: MRE < MAE in the paper is possible only so). mre: mean distance (eq. 10).
    median: of the distances. sdr: % of corners within each radius (eq. 11). A missed corner counts in all of them, as one
    endplate's depth. by_vertebra, by_corner: mean distance.
    """

    unit: Unit
    films: int
    mae: Figure
    mre: Figure
    median: Figure
    sdr: dict[float, Figure]
    by_vertebra: dict[str, float]
    by_corner: dict[str, float]


def score_landmarks(cases: Sequence[ReadCase], unit: Unit, seed: int = 0) -> LandmarkScores | None:
    """Scores over the films on which `unit` is known; None where there is none.

    Raises ValueError without cases.
    """
    if not cases:
        raise ValueError("cases must hold at least one film; got none")
    known = [case for case in cases if case.per_pixel(unit) is not None]
    if not known:
        return None
    city, radial = (np.array([case.radial_errors(unit, norm) for case in known]) for norm in (1, 2))
    radii = THRESHOLDS[unit]

    def statistic(films: np.ndarray) -> FloatArray:
        d1, d2 = (errors[films][~np.isnan(errors[films])] for errors in (city, radial))
        return np.array([d1.mean(), d2.mean(), np.median(d2), *(100 * (d2 <= radius).mean() for radius in radii)])

    values = statistic(np.arange(len(known)))
    intervals = patient_bootstrap([case.patient for case in known], statistic, seed=seed)
    figures = [Figure(float(v), float(low), float(high)) for v, (low, high) in zip(values, intervals, strict=True)]
    corners = {str(c): [i for i, (_, corner) in enumerate(LANDMARKS) if corner is c] for c in Corner}
    return LandmarkScores(
        unit,
        len(known),
        figures[0],
        figures[1],
        figures[2],
        dict(zip(map(float, radii), figures[3:], strict=True)),
        {name: _mean(radial[:, rows]) for name, rows in LEVEL_ROWS.items()},
        {name: _mean(radial[:, rows]) for name, rows in corners.items()},
    )


@dataclass(frozen=True, slots=True)
class FilmScores:
    """What is counted a film, in %: names off by a level (or nothing found), and corners that were missed."""

    films: int
    shifted: Figure
    missed: Figure


def score_films(cases: Sequence[ReadCase], seed: int = 0) -> FilmScores:
    """Level shifts and missed corners. Raises ValueError without cases."""
    if not cases:
        raise ValueError("cases must hold at least one film; got none")
    shifted = np.array([case.shifted for case in cases], float)
    missed, annotated = (
        np.array([mask.sum() for mask in masks])
        for masks in zip(*((c.missed, c.annotated) for c in cases), strict=True)
    )

    def statistic(films: np.ndarray) -> FloatArray:
        return np.array([100 * shifted[films].mean(), 100 * missed[films].sum() / annotated[films].sum()])

    values = statistic(np.arange(len(cases)))
    intervals = patient_bootstrap([case.patient for case in cases], statistic, seed=seed)
    figures = (Figure(float(v), float(low), float(high)) for v, (low, high) in zip(values, intervals, strict=True))
    return FilmScores(len(cases), *figures)


def _mean(errors: FloatArray) -> float:
    known = errors[~np.isnan(errors)]
    return float(known.mean()) if known.size else float("nan")
