"""How well two ways of measuring agree: the intraclass correlation and the limits of agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.geometry import FloatArray


def icc_2_1(ratings: FloatArray) -> float:
    """ICC(2,1): two-way random effects, absolute agreement, one rating (Shrout & Fleiss, Psychol Bull 1979;86:420).

    ratings (n, k): n films by k readers. NaN for fewer than two films, or where all ratings are equal.

    >>> judges = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    >>> round(icc_2_1(judges), 2)  # their Table 4
    0.29
    """
    ratings = np.asarray(ratings, float)
    n, k = ratings.shape
    if n < 2:
        return float("nan")
    grand = ratings.mean()
    between_films = k * ((ratings.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    between_readers = n * ((ratings.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    left = ratings - ratings.mean(axis=1, keepdims=True) - ratings.mean(axis=0, keepdims=True) + grand
    error = (left**2).sum() / ((n - 1) * (k - 1))
    below = between_films + (k - 1) * error + k * (between_readers - error) / n
    return float((between_films - error) / below) if below > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Found against true values of one quantity: their number, mean absolute error, bias with 95 % limits, and ICC(2,1).

    bias: mean of found less true; low, high: bias -+ 1.96 standard deviations (Bland & Altman, Lancet 1986;327:307).
    """

    n: int
    mean_absolute_error: float
    bias: float
    low: float
    high: float
    icc: float

    @classmethod
    def of(cls, found: FloatArray, true: FloatArray) -> Agreement:
        """Of two arrays (n,) of the same films.

        >>> Agreement.of(np.array([1.0, 3.0, 2.0]), np.array([0.0, 2.0, 1.0])).bias
        1.0
        """
        difference = np.asarray(found, float) - np.asarray(true, float)
        if not len(difference):
            return cls(0, *(float("nan"),) * 5)
        bias = float(difference.mean())
        spread = 1.96 * float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")
        icc = icc_2_1(np.stack([found, true], axis=1))
        return cls(len(difference), float(np.abs(difference).mean()), bias, bias - spread, bias + spread, icc)
