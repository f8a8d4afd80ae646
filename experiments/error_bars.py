"""How a corner's error follows from what the looks leave open: fits `Calibration.errors` on simulated films, checks it on others.

    python experiments/error_bars.py [--films N]

Maximum likelihood of the corners says how the two parts of the model weigh; then both are scaled together until 90 % intervals of slips and
angles cover 90 % of the truths, since errors of neighbouring corners partly cancel. Films whose names are off (median corner error above
0.4 of a depth) are left out: an error bar is no answer to a wrong name.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from rich.progress import track
from scipy.optimize import minimize

from lumbar.anatomy import Side, rows_of
from lumbar.evaluation.read_case import SHIFT
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.consensus import ErrorModel
from lumbar.landmarks.spine import COUNT
from lumbar.measurements import INTERVERTEBRAL_ANGLE, SLIP, Measurement, measure
from lumbar.pipeline import Reader
from lumbar.radiograph import PixelSpacing
from lumbar.synthesis import simulate_film

FITTED_ON, CHECKED_ON = 880_000, 870_000
NORMAL_90 = 1.645


@dataclass(frozen=True, slots=True)
class Read:
    """One film: what was found, what is true (22, 2), and what the looks left open (22, 2, 2) in squared depths; lengths in film pixels.

    wider (22,): by what factor the model in use widens the error bars of each corner's vertebra, which is not fitted here.
    """

    found: SpineLandmarks
    truth: np.ndarray
    left_open: np.ndarray
    wider: np.ndarray
    depth: float
    anterior: Side
    spacing: PixelSpacing | None

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """What was left open (N, 2, 2) and the error (N, 2), over `wider`, of every corner that lies on the film, in depths."""
        known = np.isfinite(self.truth[:, 0])
        error = (self.found.points_px - self.truth) / self.depth / self.wider[:, None]
        return self.left_open[known], error[known]

    def normalised(self, model: ErrorModel) -> dict[str, list[float]]:
        """Errors of slips and angles in the standard errors that `model` gives them."""
        covariance = model.covariance(self.left_open, 1.0) * (self.wider[:, None, None] * self.depth) ** 2
        seen = measure(replace(self.found, covariance_px=covariance).to_anatomical(self.anterior, self.spacing))
        exact = measure(SpineLandmarks.exact(self.truth).to_anatomical(self.anterior, self.spacing))
        z: dict[str, list[float]] = {SLIP.name: [], INTERVERTEBRAL_ANGLE.name: []}
        for one, true in zip(seen, exact, strict=True):
            if one.quantity in z and isinstance(one, Measurement) and isinstance(true, Measurement):
                assert one.standard_error
                z[one.quantity].append((one.value - true.value) / one.standard_error)
        return z


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--films", type=int, default=80)
    given = arguments.parse_args()
    reader = Reader.shipped()
    films = collect(reader, FITTED_ON, given.films)
    likely = fit(films)
    factor = max(float(np.quantile(np.abs(z), 0.9)) / NORMAL_90 for z in together(films, likely).values())
    fitted = ErrorModel(round(likely.spread_share * factor**2, 3), round(likely.least_deviation * factor, 4))
    print(f"most likely: {likely}; scaled by {factor:.2f}: {fitted}")
    in_use = reader.calibration.errors
    print(f"in use: {in_use}")
    films = collect(reader, CHECKED_ON, given.films)
    for name, model in (("most likely", likely), ("scaled", fitted), ("in use", in_use)):
        left_open, error = stacked(films)
        normal = error / np.sqrt(np.diagonal(model.covariance(left_open, 1.0), axis1=1, axis2=2))
        values = {"corners": normal.ravel(), **together(films, model)}
        print(f"{name}, share within 1, 1.645 and 2 standard errors (normal: 0.683, 0.900, 0.954):")
        for quantity, z in values.items():
            print(f"  {quantity}: " + ", ".join(f"{(np.abs(z) <= limit).mean():.3f}" for limit in (1, NORMAL_90, 2)))


def collect(reader: Reader, seed: int, films: int) -> list[Read]:
    """The films that are read whole, with an error bar on every corner, and named right."""
    model = reader.calibration.errors
    wider = np.ones(COUNT)
    for vertebra, factor in model.wider.items():
        wider[rows_of(vertebra)] = factor
    found, shifted = [], 0
    for index in track(range(films), "reading"):
        film = simulate_film(seed, index)
        landmarks = reader.read(film.radiograph).landmarks
        if not landmarks.present.all() or not np.isfinite(landmarks.covariance_px).all():
            continue
        depth = float(np.linalg.norm(landmarks.points_px[::2] - landmarks.points_px[1::2], axis=1).mean())
        if np.nanmedian(np.linalg.norm(landmarks.points_px - film.landmarks_px, axis=1)) > SHIFT * depth:
            shifted += 1
            continue
        covariance = landmarks.covariance_px / (wider[:, None, None] * depth) ** 2
        left_open = (covariance - model.least_deviation**2 * np.eye(2)) / model.spread_share
        radiograph = film.radiograph
        found.append(Read(landmarks, film.landmarks_px, left_open, wider, depth, film.anterior, radiograph.spacing))
    print(f"set {seed}: {len(found)} of {films} films used, {shifted} with names off")
    return found


def stacked(films: list[Read]) -> tuple[np.ndarray, np.ndarray]:
    """What was left open and the errors, of all corners of all films."""
    parts = [film.errors() for film in films]
    return np.concatenate([left_open for left_open, _ in parts]), np.concatenate([error for _, error in parts])


def together(films: list[Read], model: ErrorModel) -> dict[str, np.ndarray]:
    """Normalised errors of slips and of angles, of all films."""
    parts = [film.normalised(model) for film in films]
    return {quantity: np.concatenate([part[quantity] for part in parts]) for quantity in parts[0]}


def fit(films: list[Read]) -> ErrorModel:
    """Maximum likelihood with normal errors, each capped at four deviations so that a few gross errors do not decide."""
    left_open, error = stacked(films)

    def loss(log_parameters: np.ndarray) -> float:
        share_, least = np.exp(log_parameters)
        covariance = ErrorModel(share_, least).covariance(left_open, 1.0)
        apart = np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariance), error)
        return float((np.minimum(apart, 16) + np.linalg.slogdet(covariance)[1]).mean())

    best = minimize(loss, np.log([0.5, 0.03]), method="Nelder-Mead")
    share_, least = np.exp(best.x)
    return ErrorModel(round(float(share_), 3), round(float(least), 4))


if __name__ == "__main__":
    main()
