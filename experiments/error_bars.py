"""How a corner's error follows from what the looks leave open: fits `pipeline.ERRORS` on simulated films and checks it on others.

    python experiments/error_bars.py [--films N]

Films whose names are off (median corner error above 0.4 of a depth) are left out: an error bar is no answer to a wrong name.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.progress import track
from scipy.optimize import minimize

from lumbar.anatomy import LEVELS
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.consensus import ErrorModel
from lumbar.measurements import INTERVERTEBRAL_ANGLE, SLIP, Measurement, measure
from lumbar.pipeline import ERRORS, Reader
from lumbar.synthesis import simulate_film

FITTED_ON, CHECKED_ON = 880_000, 870_000
SHIFT = 0.4


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--films", type=int, default=80)
    given = arguments.parse_args()
    reader = Reader.shipped()
    left_open, error, _ = collect(reader, FITTED_ON, given.films)
    fitted = fit(left_open, error)
    print(f"fitted on {given.films} films: {fitted}")
    print(f"in use: {ERRORS}")
    left_open, error, z = collect(reader, CHECKED_ON, given.films)
    for name, model in (("fitted", fitted), ("in use", ERRORS)):
        normal = error / np.sqrt(np.diagonal(model.covariance(left_open, 1.0), axis1=1, axis2=2))
        print(
            f"corners, {name}: within one error {share(normal, 1):.3f} (0.683), within two {share(normal, 2):.3f} (0.954)"
        )
    for quantity, values in z.items():
        print(f"{quantity}, in use: within one error {share(values, 1):.3f}, within two {share(values, 2):.3f}")


def share(normal: np.ndarray, limit: float) -> float:
    return float((np.abs(normal) <= limit).mean())


def collect(reader: Reader, seed: int, films: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What the looks leave open (N, 2, 2) and the error (N, 2) of every corner, in depths; errors of measurements in their standard errors."""
    left_open, errors, shifted = [], [], 0
    z: dict[str, list[float]] = {SLIP.name: [], INTERVERTEBRAL_ANGLE.name: []}
    for index in track(range(films), "reading"):
        film = simulate_film(seed, index)
        reading = reader.read(film.radiograph)
        truth, found = film.landmarks_px, reading.landmarks
        if not found.present.all():
            continue
        depth = float(np.linalg.norm(found.points_px[::2] - found.points_px[1::2], axis=1).mean())
        error = (found.points_px - truth) / depth
        known = np.isfinite(error[:, 0])  # corners off the film have no truth
        if np.median(np.linalg.norm(error[known], axis=1)) > SHIFT:
            shifted += 1
            continue
        total = found.covariance_px[known] / depth**2
        left_open.append((total - ERRORS.least_deviation**2 * np.eye(2)) / ERRORS.spread_share)
        errors.append(error[known])
        exact = measure(SpineLandmarks.exact(truth).to_anatomical(film.anterior, film.radiograph.spacing))
        for true in exact:
            if true.quantity in z and isinstance(true, Measurement):
                seen = reading.measured(true.quantity, true.site)
                assert isinstance(seen, Measurement) and seen.standard_error
                z[true.quantity].append((seen.value - true.value) / seen.standard_error)
    print(f"set {seed}: {len(errors)} of {films} films used, {shifted} with names off, {len(LEVELS)} levels each")
    return np.concatenate(left_open), np.concatenate(errors), {k: np.array(v) for k, v in z.items()}


def fit(left_open: np.ndarray, error: np.ndarray) -> ErrorModel:
    """Maximum likelihood with normal errors, each capped at four deviations so that a few gross errors do not decide."""

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
