"""Whether error bars are as wide as errors are, and how wide they must be: measured on films whose corners are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from lumbar.anatomy import Side, rows_of
from lumbar.evaluation.read_case import SHIFT
from lumbar.geometry import FloatArray
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.consensus import ErrorModel
from lumbar.landmarks.spine import COUNT, endplate_depth
from lumbar.measurements import INTERVERTEBRAL_ANGLE, SLIP, Measurement, measure
from lumbar.radiograph import PixelSpacing

NORMAL_90 = 1.645
"""Standard errors on either side that 90 % of normal errors stay within."""

CORNERS = "corners"
_GROSS = 16.0  # squared deviations: a few gross errors are not to decide
_SHARES = 1e-2, 1e2  # of what the looks leave open
_DEVIATIONS = 1e-3, 1.0  # in depths: no error bar is shorter than some 0.04 mm, however well a few films are read


@dataclass(frozen=True, slots=True, eq=False)
class ReadCorners:
    """One film, whole and named right: what was found, with error bars, beside what is true.

    truth_px (22, 2): NaN where nobody marked a corner. model: that the error bars of `found` come from.
    """

    found: SpineLandmarks
    truth_px: FloatArray
    model: ErrorModel
    anterior: Side
    spacing: PixelSpacing | None
    patient: str

    @classmethod
    def of(
        cls,
        found: SpineLandmarks,
        truth_px: FloatArray,
        model: ErrorModel,
        anterior: Side,
        spacing: PixelSpacing | None,
        patient: str,
    ) -> ReadCorners | str:
        """The film, or why its error bars are not looked at: an error bar is no answer to a corner without one, or to a wrong name."""
        if not found.present.all() or not np.isfinite(found.covariance_px).all():
            return "not read whole"
        off = np.linalg.norm(found.points_px - truth_px, axis=1)
        if not np.isfinite(off).any():
            return "no corner is known"
        if np.nanmedian(off) > SHIFT * endplate_depth(found.points_px):
            return "names off by a level"
        return cls(found, truth_px, model, anterior, spacing, patient)

    @property
    def depth(self) -> float:
        """Mean depth of the endplates that were found, in pixels."""
        return endplate_depth(self.found.points_px)

    @property
    def wider(self) -> FloatArray:
        """(22,) by what factor the model widens the error bars of each corner's vertebra, which is not fitted here."""
        wider = np.ones(COUNT)
        for vertebra, factor in self.model.wider.items():
            wider[rows_of(vertebra)] = factor
        return wider

    @property
    def left_open(self) -> FloatArray:
        """(22, 2, 2) in squared depths: what the looks left open, before any model; no direction below zero, as rounding would have it."""
        covariance = self.found.covariance_px / (self.wider[:, None, None] * self.depth) ** 2
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values - self.model.least_deviation**2, 0.0) / self.model.spread_share
        return np.asarray((vectors * values[:, None, :]) @ vectors.swapaxes(-1, -2))

    @property
    def errors(self) -> FloatArray:
        """(22, 2) in depths, over `wider`; NaN where the truth is not known."""
        return np.asarray((self.found.points_px - self.truth_px) / self.depth / self.wider[:, None])

    def normalised(self, model: ErrorModel) -> dict[str, FloatArray]:
        """Errors of corners, slips and angles in the standard errors that `model` would give them."""
        covariance = model.covariance(self.left_open, 1.0)
        corners = self.errors / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        in_px = covariance * (self.wider[:, None, None] * self.depth) ** 2
        seen = measure(replace(self.found, covariance_px=in_px).to_anatomical(self.anterior, self.spacing))
        exact = measure(SpineLandmarks.exact(self.truth_px).to_anatomical(self.anterior, self.spacing))
        z: dict[str, list[float]] = {SLIP.name: [], INTERVERTEBRAL_ANGLE.name: []}
        for one, true in zip(seen, exact, strict=True):
            if one.quantity in z and isinstance(one, Measurement) and isinstance(true, Measurement):
                assert one.standard_error
                z[one.quantity].append((one.value - true.value) / one.standard_error)
        return {CORNERS: corners[np.isfinite(corners)], **{name: np.array(values) for name, values in z.items()}}


def fit_error_bars(films: Sequence[ReadCorners]) -> tuple[ErrorModel, float]:
    """The model under which 90 % intervals of slips and angles cover 90 %, and by what that is wider than the likeliest one of corners.

    Maximum likelihood of the corners' errors, each capped at four deviations, says how the model's two parts weigh; then both are scaled
    together, since errors of neighbouring corners partly cancel. `wider` stays as it is in use. Raises ValueError for no films.
    """
    if not films:
        raise ValueError("films must be at least one that was read whole and named right; got none")
    likely = _likeliest(films)
    z = normalised(films, likely)
    factor = max(_as_wide_as_errors(z[quantity]) for quantity in (SLIP.name, INTERVERTEBRAL_ANGLE.name))
    share, least = likely.spread_share * factor**2, likely.least_deviation * factor
    return ErrorModel(round(share, 3), round(least, 4), films[0].model.wider), factor


def cross_fitted(films: Sequence[ReadCorners]) -> dict[str, FloatArray]:
    """Normalised errors of each half of the patients under the model that was fitted to the other half."""
    patients = {patient: place % 2 for place, patient in enumerate(dict.fromkeys(film.patient for film in films))}
    halves = [[film for film in films if patients[film.patient] == half] for half in (0, 1)]
    parts = [normalised(mine, fit_error_bars(other)[0]) for mine, other in (halves, halves[::-1])]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def normalised(films: Sequence[ReadCorners], model: ErrorModel) -> dict[str, FloatArray]:
    """Errors in the standard errors that `model` gives: of the coordinates of corners, of slips, of angles; of all films."""
    parts = [film.normalised(model) for film in films]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def within(z: FloatArray, deviations: float = NORMAL_90) -> float:
    """The share of normalised errors that so many standard errors cover.

    >>> within(np.array([0.0, -1.0, 1.7, 3.0]))
    0.5
    """
    return float((np.abs(z) <= deviations).mean())


def _as_wide_as_errors(z: FloatArray) -> float:
    """By what error bars are to be multiplied so that 90 % intervals cover 90 % of these."""
    return float(np.quantile(np.abs(z), 0.9)) / NORMAL_90


def _likeliest(films: Sequence[ReadCorners]) -> ErrorModel:
    known = [np.isfinite(film.errors[:, 0]) for film in films]
    left_open = np.concatenate([film.left_open[rows] for film, rows in zip(films, known, strict=True)])
    error = np.concatenate([film.errors[rows] for film, rows in zip(films, known, strict=True)])

    def loss(log_parameters: FloatArray) -> float:
        share, least = np.exp(log_parameters)
        covariance = ErrorModel(share, least).covariance(left_open, 1.0)
        apart = np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariance), error)
        return float((np.minimum(apart, _GROSS) + np.linalg.slogdet(covariance)[1]).mean())

    bounds = np.log([_SHARES, _DEVIATIONS])
    share, least = np.exp(minimize(loss, np.log([0.5, 0.03]), method="Nelder-Mead", bounds=bounds).x)
    return ErrorModel(float(share), float(least))
