"""How far a figure would move with other patients: the bootstrap over patients, and paired tests between methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lumbar.geometry import FloatArray

RESAMPLES = 1000


def patient_bootstrap(
    patients: Sequence[str],
    statistic: Callable[[NDArray[np.intp]], FloatArray],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> FloatArray:
    """95 % intervals (n, 2) of the n figures that `statistic` makes of films, given by their indices.

    Patients are drawn with replacement, each with all of their films (Efron's percentile interval): films of one
    patient resemble each other, and drawing films one by one would make the interval too narrow.
    """
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    films = [np.nonzero(owner == i)[0] for i in range(len(names))]
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(np.concatenate([films[i] for i in rng.integers(len(films), size=len(films))]))
        for _ in range(resamples)
    ]
    with np.errstate(all="ignore"):
        return np.asarray(np.nanpercentile(np.array(drawn), [2.5, 97.5], axis=0).T)


def paired_p(first: FloatArray, second: FloatArray, resamples: int = 10_000, seed: int = 0) -> float:
    """P of a mean difference at least as large if it were chance which method is which: a two-sided sign-flip test.

    first, second: one figure a patient (n,), in the same order. Monte Carlo with the identity counted in, so never 0.

    >>> paired_p(np.arange(8.0), np.arange(8.0))
    1.0
    >>> round(paired_p(np.arange(8.0), np.arange(8.0) + 1), 2)  # 2 of 2^8 sign patterns are as extreme
    0.01
    """
    difference = np.asarray(first, float) - np.asarray(second, float)
    if difference.ndim != 1 or np.shape(first) != np.shape(second):
        raise ValueError(
            f"first and second must be (n,) of the same patients; got {np.shape(first)}, {np.shape(second)}"
        )
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(resamples, len(difference)))
    chance = np.abs(signs @ difference)
    seen = abs(difference.sum()) - 1e-12 * np.abs(difference).sum()
    return float((1 + (chance >= seen).sum()) / (1 + resamples))


def by_patient(patients: Sequence[str], values: FloatArray) -> FloatArray:
    """The mean of one value a film over each patient's films, patients in the order of their names."""
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    return np.array([np.nanmean(values[owner == i]) for i in range(len(names))])
