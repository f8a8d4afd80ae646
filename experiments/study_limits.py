"""What the joint fit of a study's films takes for granted, measured on studies whose truth is known.

    python experiments/study_limits.py STUDIES READINGS

READINGS are those that `experiments/studies.py STUDIES READINGS` kept. Use studies other than the benchmark's: the limits of `lumbar.study` and
`landmarks.same_bodies` were chosen by such figures. A body is misread where its median corner error exceeds 0.15 of an endplate's depth.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.progress import track
from studies import MISREAD, corner_errors, kept_readings

from lumbar.anatomy import Posture, Vertebra, rows_of
from lumbar.datasets import StudyCase, StudyFolder
from lumbar.landmarks.same_bodies import AGREED, STRANGE
from lumbar.landmarks.spine import SpineLandmarks
from lumbar.reading import Reading
from lumbar.study import LASTING_SHARE, STRANGE_MISFIT, fit_films

GROSS = 4.0
"""Errors beyond so many of their standard errors are of misread bodies, and say nothing about how well others are read."""


@dataclass(frozen=True, slots=True)
class Body:
    """A vertebra on the films that show it. misread: on which of them. errors: film -> (K, 2), along and across the endplate, in standard errors.

    misfit: of the fit to all films, NaN where there is none. pairs: films left out -> misfit of the others, where there are three.
    """

    vertebra: Vertebra
    misread: frozenset[Posture]
    errors: Mapping[Posture, np.ndarray]
    misfit: float
    pairs: Mapping[Posture, float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("studies", type=Path)
    arguments.add_argument("readings", type=Path)
    given = arguments.parse_args()
    bodies: list[Body] = []
    misfits: list[float] = []
    for study in track(StudyFolder.open(given.studies).studies, "fitting"):
        readings = kept_readings(study, given.readings)
        if readings is None:
            continue
        mine = bodies_of(study, readings)
        bodies += mine
        misfit = fit_films(readings).misfit
        if np.isfinite(misfit) and not any(body.misread for body in mine):
            misfits.append(misfit)
    if not bodies:
        arguments.error(
            f"READINGS must hold readings of studies in {given.studies}; got none in {given.readings}: run studies.py first"
        )
    print_lasting(bodies)
    print(f"\nmisfit of {len(misfits)} studies without a misread body (limit {STRANGE_MISFIT}): ", end="")
    print(f"median {np.median(misfits):.2f}, 95 % below {np.quantile(misfits, 0.95):.2f}, at most {max(misfits):.2f}")
    print_strange(bodies)


def bodies_of(study: StudyCase, readings: Mapping[Posture, Reading]) -> list[Body]:
    errors, misread = {}, {}
    for posture, reading in readings.items():
        off = corner_errors(study, posture, reading)
        found = {v: off[rows_of(v)] for v in Vertebra if np.isfinite(off[rows_of(v)]).any()}
        misread[posture] = {v for v, of_body in found.items() if np.nanmedian(of_body) > MISREAD}
        errors[posture] = in_standard_errors(reading, study.films[posture].open().landmarks_px)
    misfits = fit_films(readings).misfits
    without = {p: fit_films({q: r for q, r in readings.items() if q != p}).misfits for p in readings}
    return [
        Body(
            v,
            frozenset(posture for posture in readings if v in misread[posture]),
            {posture: error[rows_of(v)] for posture, error in errors.items()},
            misfits.get(v, float("nan")),
            {posture: others[v] for posture, others in without.items() if v in others} if len(readings) == 3 else {},
        )
        for v in Vertebra
    ]


def in_standard_errors(reading: Reading, truth_px: np.ndarray) -> np.ndarray:
    """(22, 2): each corner's error along and across its body's superior endplate, in what the reading states as its standard error."""
    found = reading.spine
    spacing = reading.spacing if found.in_mm else None
    truth = SpineLandmarks.exact(truth_px).to_anatomical(reading.anterior, spacing)
    errors = np.full(truth.points.shape, np.nan)
    for vertebra in Vertebra:
        rows = rows_of(vertebra)
        along = truth.points[rows][0] - truth.points[rows][1]
        along = along / np.linalg.norm(along)
        frame = np.array([along, [-along[1], along[0]]])
        spread = np.sqrt(np.einsum("ai,kij,aj->ka", frame, found.covariance[rows], frame))
        errors[rows] = (found.points[rows] - truth.points[rows]) @ frame.T / spread
    return errors


def print_lasting(bodies: list[Body]) -> None:
    """How far one corner's errors on two films of a patient go together."""
    print(f"correlation of one corner's errors on two films (the fit takes {LASTING_SHARE})")
    pairs = [
        np.stack([body.errors[one], body.errors[other]])
        for body in bodies
        if not body.misread
        for one, other in combinations(body.errors, 2)
    ]
    every = np.concatenate(pairs, axis=1)
    for name, both in (("along the endplate", every[..., :1]), ("across it", every[..., 1:]), ("both", every)):
        flat = both.reshape(2, -1)
        flat = flat[:, (np.abs(flat) < GROSS).all(axis=0)]
        print(f"  {name:20} {np.prod(flat, axis=0).mean() / (flat**2).mean():.2f} of {flat.shape[1]} pairs")


def print_strange(bodies: list[Body]) -> None:
    """What the limits of a body's misfit tell apart."""
    fitted = [body for body in bodies if np.isfinite(body.misfit)]
    for name, mine in (
        ("read well", [body for body in fitted if not body.misread]),
        ("misread on some film", [body for body in fitted if body.misread]),
    ):
        beyond = sum(body.misfit > STRANGE for body in mine)
        print(f"bodies {name}: {beyond} of {len(mine)} have a misfit above {STRANGE}")
    told, right = 0, 0
    for body in fitted:
        if body.misfit > STRANGE and body.misread and body.pairs:
            left_out = min(body.pairs, key=lambda posture: body.pairs[posture])
            if body.pairs[left_out] <= AGREED:
                told, right = told + 1, right + (body.misread == {left_out})
    print(
        f"  where two films of a misread one agree to {AGREED} or better, the third alone is misread: {right} of {told}"
    )


if __name__ == "__main__":
    main()
