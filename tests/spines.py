"""Spines with known slips and angles, built from S1 upwards out of rectangles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lumbar.anatomy import LANDMARK_INDEX, LEVELS, Corner, Posture, Side, Vertebra
from lumbar.landmarks import AnatomicalSpine, SpineLandmarks
from lumbar.localisation import LumbosacralBox
from lumbar.radiograph import PixelSpacing, Radiograph, film_to_anatomical
from lumbar.reading import Reading

DEPTH_MM, HEIGHT_MM, DISC_MM = 32.0, 25.0, 8.0

SQUARE = PixelSpacing(0.2, 0.2, "ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor (1.2)", "patient")
FILM_HEIGHT, FILM_WIDTH = 1500, 1200


def a_spine(
    slip_percent: Mapping[str, float] | None = None,
    angle_deg: Mapping[str, float] | None = None,
    sacral_slope_deg: float = 0.0,
    corner_error_mm: float = 0.0,
    absent: tuple[tuple[Vertebra, Corner], ...] = (),
) -> AnatomicalSpine:
    """Vertebrae 32 mm deep and 25 mm high, their posterior-inferior corners 8 mm above the next endplate, in mm.

    slip_percent, angle_deg: by site such as "L4/L5", 0 elsewhere. sacral_slope_deg: how far S1 falls forwards.
    corner_error_mm: standard deviation of each coordinate of each corner; NaN if it is not known.
    """
    slips, angles = slip_percent or {}, angle_deg or {}
    points = np.full((22, 2), np.nan)
    turn = np.radians(-sacral_slope_deg)
    posterior = np.zeros(2)
    _place(points, Vertebra.S1, "superior", posterior, turn)
    for level in reversed(LEVELS):
        e, n = _axes(turn)
        posterior = posterior + slips.get(str(level), 0.0) / 100 * DEPTH_MM * e + DISC_MM * n
        turn += np.radians(angles.get(str(level), 0.0))
        _place(points, level.upper, "inferior", posterior, turn)
        posterior = posterior + HEIGHT_MM * _axes(turn)[1]
        _place(points, level.upper, "superior", posterior, turn)
    for landmark in absent:
        points[LANDMARK_INDEX[landmark]] = np.nan
    return AnatomicalSpine(points, np.tile(np.eye(2) * corner_error_mm**2, (22, 1, 1)), in_mm=True)


def on_film(spine: AnatomicalSpine, anterior: Side = Side.LEFT, spacing: PixelSpacing = SQUARE) -> SpineLandmarks:
    """The spine as it is projected on a film of 1200 x 1500 pixels, S1 at its lower middle."""
    to_film = film_to_anatomical(anterior, spacing.column_mm, spacing.row_mm).inverse
    points = to_film.apply(spine.points) + np.array([FILM_WIDTH / 2, FILM_HEIGHT * 0.9])
    present = ~np.isnan(points[:, 0])
    return SpineLandmarks(points, to_film.apply_covariance(spine.covariance), np.where(present, 0.8, 0.0))


def a_reading(
    spine: AnatomicalSpine,
    film: str = "film.png",
    posture: Posture | None = None,
    spacing: PixelSpacing | None = SQUARE,
    anterior: Side = Side.LEFT,
) -> Reading:
    """What a perfect reader makes of a film of the spine; `spacing` None leaves the pixel size unknown."""
    landmarks = on_film(spine, anterior, spacing or SQUARE)
    low, high = np.nanmin(landmarks.points_px, axis=0), np.nanmax(landmarks.points_px, axis=0)
    box = LumbosacralBox(*map(float, low), *map(float, high), 0.9)
    return Reading.of(
        film, a_film(posture, spacing, anterior), box, landmarks, facing_source="film", weights={"landmarks": "a1b2"}
    )


def a_film(
    posture: Posture | None = None, spacing: PixelSpacing | None = SQUARE, anterior: Side | None = Side.LEFT
) -> Radiograph:
    """A black film."""
    return Radiograph(np.zeros((FILM_HEIGHT, FILM_WIDTH), np.float32), spacing, anterior, posture)


def no_landmarks() -> SpineLandmarks:
    """22 absent corners."""
    return SpineLandmarks(np.full((22, 2), np.nan), np.full((22, 2, 2), np.nan), np.zeros(22))


def _axes(turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Anterior along an endplate that is turned by `turn` radians, and up from it."""
    return np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])


def _place(points: np.ndarray, vertebra: Vertebra, half: str, posterior: np.ndarray, turn: float) -> None:
    points[LANDMARK_INDEX[vertebra, Corner(f"{half}_posterior")]] = posterior
    points[LANDMARK_INDEX[vertebra, Corner(f"{half}_anterior")]] = posterior + DEPTH_MM * _axes(turn)[0]
