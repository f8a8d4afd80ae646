"""The same vertebrae on several films of one patient: a body keeps its shape, so its corners are found from all films together.

Read alone, an angle between two films takes its error from eight corners. But bone does not bend: of the four corners of a body on one
film only three numbers are free once its shape is known, two for where it is and one for how it is turned. Fitting one shape
and a pose a film to all corners averages what the readings get wrong. Ours; the model is that of generalised Procrustes
analysis (Gower, Psychometrika 1975;40:33) with known covariances, so weighted least squares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lumbar.anatomy import Vertebra, rows_of
from lumbar.geometry import FloatArray
from lumbar.landmarks.spine import COUNT, AnatomicalSpine

SCALE_DEVIATION = 0.02
"""How much the magnification of two films of one study differs, as a standard deviation: 2 cm nearer or farther from a tube a metre
away. Our own choice."""

STRANGE = 24.0
"""A body whose corners fit together worse than this, in units of what the errors of reading explain, was misread on some film; one that fits
better has wider error bars instead (`_Body.widening`). Our own choice: on 1,430 simulated studies 39 of the 46 levels of bodies between 8
and this have the right verdict, 6 of the 9 of those beyond."""

AGREED = 2.2
"""Two films whose body fits together better than this tell that the third is the one misread. Our own choice: so it was with 7 of the 8
such bodies of those studies before that; with the last one of the two was misread, too."""

PRIOR_FREEDOM = 6.0
"""How firmly a body's error bars are believed beforehand, in degrees of freedom: with fewer than what the fit leaves, ten of a lumbar body on three
films, the misfit counts for more. The changes of 830 simulated studies are likeliest with 1 to 3; with 6 all levels' intervals cover alike."""

_ROUNDS = 25
_SETTLED = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class SameBodies:
    """The films' spines with corners that are those of the same bodies.

    spines: as they were given, with fitted corners and their covariance. covariance (44 F, 44 F): of all fitted coordinates together,
    film by film, landmark by landmark, x before y; wider or narrower by how badly the body fits; NaN for corners that were not fitted or whose error was not known.
    misfit: sum of squared residuals over their degrees of freedom; about 1 if errors are what the covariances say. NaN where
    nothing was over-determined or errors were not known. misfits: the same of each vertebra alone, of those that were fitted to all films.
    strange: vertebrae with another shape on some film than on the others, and which films that may be; there they are as they were read.
    """

    spines: tuple[AnatomicalSpine, ...]
    covariance: FloatArray
    misfit: float
    misfits: Mapping[Vertebra, float] = field(default_factory=dict)
    strange: Mapping[Vertebra, frozenset[int]] = field(default_factory=dict)


def fit_same_bodies(
    spines: Sequence[AnatomicalSpine], shape_deviation: float = 0.0, lasting_share: float = 0.0
) -> SameBodies:
    """Fit one shape a vertebra, and its place and turn on each film, to the corners of all films.

    spines: of one patient, in mm or all in one unknown unit that may differ in scale by a few per cent.
    shape_deviation: how much a projected body differs from film to film because the patient turned, a standard deviation in the
    unit of the corners; it is added to the errors of reading, and what the covariance then says is how well the bone's place is known.
    lasting_share: what share of a corner's error variance comes from the bone itself and so lies the same way on every film: it is not
    averaged away, and it drops out of what changes between films.
    A corner that one film lacks is taken from the body's shape on the others where three of its corners (S1: both) are there. A body
    that fewer than two films show so, or none shows whole, stays as it was read.
    Raises ValueError for fewer than two spines.
    """
    if len(spines) < 2:
        raise ValueError(f"spines must be of at least two films; got {len(spines)}")
    films = len(spines)
    observed = np.array([spine.points for spine in spines])
    given = np.array([spine.covariance for spine in spines])
    known = bool(np.isfinite(given[~np.isnan(observed[..., 0])]).all())
    turned = np.eye(2) * (shape_deviation**2 + 1e-12)
    passing = (1 - lasting_share) * np.nan_to_num(given)
    errors = np.asarray(passing + turned if known else np.broadcast_to(np.eye(2), given.shape))
    scales: FloatArray = np.ones(films)
    for _ in range(3):
        found = {v: _Body.fit(observed[:, rows_of(v)], errors[:, rows_of(v)], scales) for v in Vertebra}
        bodies = {vertebra: body for vertebra, body in found.items() if body is not None}
        alike = {v: body for v, body in bodies.items() if not known or body.misfit <= STRANGE}
        scales = _scales(alike, observed, scales)
    squares, freedom = (sum(getattr(body, of) for body in bodies.values()) for of in ("squares", "freedom"))
    misfits = {vertebra: body.misfit for vertebra, body in bodies.items() if known and body.freedom}
    strange: dict[Vertebra, frozenset[int]] = {}
    for vertebra in [v for v in bodies if v not in alike]:
        rows = rows_of(vertebra)
        misread, same = bodies.pop(vertebra), _Body.fit_but_one(observed[:, rows], errors[:, rows], scales)
        if same is not None:
            bodies[vertebra] = same
        strange[vertebra] = frozenset(misread.films) - frozenset(same.films if same else ())
    fitted = observed.copy()
    covariance = joint_covariance(spines).reshape(films, COUNT, 2, films, COUNT, 2)
    for vertebra, body in bodies.items():
        corners = np.arange(COUNT)[rows_of(vertebra)]
        at = np.array(body.films)
        fitted[np.ix_(at, corners)] = body.fitted
        if known:
            xy = np.arange(2)
            lasting = body.lasting(lasting_share * given[np.ix_(at, corners)])
            covariance[np.ix_(at, corners, xy, at, corners, xy)] = body.widening * (body.covariance + lasting)
    results = tuple(
        AnatomicalSpine(fitted[f], covariance[f, np.arange(COUNT), :, f, np.arange(COUNT)], spine.in_mm)
        for f, spine in enumerate(spines)
    )
    size = 2 * COUNT * films
    misfit = squares / freedom if known and freedom else float("nan")
    return SameBodies(results, covariance.reshape(size, size), misfit, misfits, strange)


def joint_covariance(spines: Sequence[AnatomicalSpine]) -> FloatArray:
    """The films' own covariances as one (44 F, 44 F), laid out as `SameBodies.covariance`: corners and films were read independently."""
    films = len(spines)
    covariance = np.zeros((films, COUNT, 2, films, COUNT, 2))
    given = np.array([spine.covariance for spine in spines])
    unknown = np.isnan(given).any(axis=(2, 3))
    covariance[unknown] = np.nan
    covariance.transpose(3, 4, 5, 0, 1, 2)[unknown] = np.nan
    for film, row in np.ndindex(films, COUNT):
        covariance[film, row, :, film, row] = given[film, row]
    return covariance.reshape(2 * COUNT * films, -1)


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """One vertebra on the films that show it. fitted (f, K, 2), covariance (f, K, 2, f, K, 2); turns (f, 2, 2) take the shape to each film."""

    films: list[int]
    turns: FloatArray
    fitted: FloatArray
    covariance: FloatArray
    squares: float
    freedom: int

    @property
    def misfit(self) -> float:
        """Squared residuals over their degrees of freedom; 0 where there are none."""
        return self.squares / self.freedom if self.freedom else 0.0

    @property
    def widening(self) -> float:
        """By what its error variances are multiplied: the mean of what they were thought to be and of what the misfit shows, each with its freedom.

        That is the posterior mean under a scaled inverse chi-squared prior with `PRIOR_FREEDOM`, times a factor near 1 (Gelman, Bayesian Data Analysis, 2.6).
        """
        return (PRIOR_FREEDOM + self.squares) / (PRIOR_FREEDOM + self.freedom)

    def lasting(self, errors: FloatArray) -> FloatArray:
        """The covariance (f, K, 2, f, K, 2) of errors that turn with the bone from film to film.

        errors (f, K, 2, 2): as each film has them, NaN where it lacks the corner; their mean in the bone's own frame is taken.
        """
        back = np.linalg.inv(self.turns)
        of_bone = np.nanmean(np.einsum("fij,fkjl,fml->fkim", back, errors, back), axis=0)
        joint = np.zeros(self.covariance.shape)
        for corner, error in enumerate(of_bone):
            joint[:, corner, :, :, corner, :] = np.einsum("fij,jl,gml->figm", self.turns, error, self.turns)
        return joint

    @classmethod
    def fit_but_one(cls, observed: FloatArray, errors: FloatArray, scales: FloatArray) -> _Body | None:
        """The body on all films but the one that agrees least with the others; None where the others do not agree, or are one alone."""
        others = []
        for film in range(len(observed)):
            without = observed.copy()
            without[film] = np.nan
            others.append(cls.fit(without, errors, scales))
        best = min((body for body in others if body is not None), key=lambda body: body.misfit, default=None)
        return best if best is not None and best.misfit <= AGREED else None

    @classmethod
    def fit(cls, observed: FloatArray, errors: FloatArray, scales: FloatArray) -> _Body | None:
        """Weighted least squares by Gauss-Newton; None where fewer than two films show enough of the body."""
        corners = observed.shape[1]
        least = min(corners, 3)
        shown = ~np.isnan(observed[..., 0])
        films = [f for f in range(len(observed)) if shown[f].sum() >= least]
        films.sort(key=lambda f: -int(shown[f].sum()))  # the first film is the shape's own frame: it must show all
        if len(films) < 2 or not shown[films].any(axis=0).all() or not shown[films[0]].all():
            return None
        points, seen, scale = observed[films], shown[films], scales[films]
        whiten = np.linalg.inv(np.linalg.cholesky(errors[films]))
        shape = points[0] / scale[0]
        poses = [
            np.zeros(3),
            *(_pose(shape * s, p, m) for s, p, m in zip(scale[1:], points[1:], seen[1:], strict=True)),
        ]
        n = 2 * corners
        for _ in range(_ROUNDS):
            model, jacobian = _model(shape, poses, scale)
            residual = np.einsum("fkij,fkj->fki", whiten, np.nan_to_num(points - model)) * seen[..., None]
            weighted = (np.einsum("fkij,fkjp->fkip", whiten, jacobian) * seen[..., None, None]).reshape(
                -1, jacobian.shape[-1]
            )
            step = np.linalg.lstsq(weighted, residual.ravel(), rcond=None)[0]
            shape = shape + step[:n].reshape(corners, 2)
            poses = [poses[0], *(pose + step[n + 3 * i : n + 3 * i + 3] for i, pose in enumerate(poses[1:]))]
            if np.abs(step).max() < _SETTLED * max(1.0, float(np.abs(points[0]).max())):
                break
        model, jacobian = _model(shape, poses, scale)
        residual = np.einsum("fkij,fkj->fki", whiten, np.nan_to_num(points - model)) * seen[..., None]
        weighted = (np.einsum("fkij,fkjp->fkip", whiten, jacobian) * seen[..., None, None]).reshape(
            -1, jacobian.shape[-1]
        )
        of_parameters = np.linalg.pinv(weighted.T @ weighted)
        flat = jacobian.reshape(-1, jacobian.shape[-1])
        covariance = (flat @ of_parameters @ flat.T).reshape(*model.shape, *model.shape)
        freedom = 2 * int(seen.sum()) - jacobian.shape[-1]
        turns = np.array([s * _turn(angle) for s, (angle, *_) in zip(scale, poses, strict=True)])
        return cls(films, turns, model, covariance, float((residual**2).sum()), freedom)


def _pose(shape: FloatArray, points: FloatArray, seen: FloatArray) -> FloatArray:
    """The turn and shift (angle, x, y) that best bring `shape` onto the points that are there (Kabsch, in two dimensions)."""
    mask = np.asarray(seen, bool)
    a, b = shape[mask], points[mask]
    ca, cb = a.mean(axis=0), b.mean(axis=0)
    a, b = a - ca, b - cb
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    return np.array([angle, *(cb - _turn(angle) @ ca)])


def _turn(angle: float) -> FloatArray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _model(shape: FloatArray, poses: Sequence[FloatArray], scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Corners (f, K, 2) of the shape in each pose, and their derivatives (f, K, 2, P) by shape and poses but the first."""
    corners, films = len(shape), len(poses)
    jacobian = np.zeros((films, corners, 2, 2 * corners + 3 * (films - 1)))
    model = np.empty((films, corners, 2))
    for f, (angle, *shift) in enumerate(poses):
        turn = scale[f] * _turn(angle)
        model[f] = shape @ turn.T + shift
        for k in range(corners):
            jacobian[f, k, :, 2 * k : 2 * k + 2] = turn
        if f:
            first = 2 * corners + 3 * (f - 1)
            about = shape @ turn.T
            jacobian[f, :, 0, first], jacobian[f, :, 1, first] = -about[:, 1], about[:, 0]
            jacobian[f, :, 0, first + 1] = jacobian[f, :, 1, first + 2] = 1.0
    return model, jacobian


def _scales(bodies: dict[Vertebra, _Body], observed: FloatArray, before: FloatArray) -> FloatArray:
    """Each film's scale from how far the corners of its bodies lie from their middle, drawn towards 1; their mean stays 1."""
    films = len(observed)
    shown, wanted = np.zeros(films), np.zeros(films)
    for vertebra, body in bodies.items():
        for i, f in enumerate(body.films):
            points = observed[f, rows_of(vertebra)]
            if np.isnan(points).any():
                continue
            model = body.fitted[i] - body.fitted[i].mean(axis=0)
            wanted[f] += ((points - points.mean(axis=0)) * model).sum()
            shown[f] += (model**2).sum()
    with np.errstate(all="ignore"):
        ratio = np.where(shown > 0, wanted / shown, 1.0)
    # One film's ratio is known to about 0.5 %: six bodies of four corners, each off by some hundredths of a depth.
    trust = SCALE_DEVIATION**2 / (SCALE_DEVIATION**2 + 0.005**2)
    scales = before * (1 + trust * (ratio - 1))
    return np.asarray(scales / scales.mean())
