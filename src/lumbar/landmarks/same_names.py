"""The same vertebrae on several films of one patient must bear the same names.

On one film a level is known by its neighbours alone, and a film that shows little of the sacrum may be named a level too high
or too low, or take a shadow for a body. But vertebrae of one patient differ in shape, L5 most of all, and keep it from film to film:
names under which the shapes agree are preferred. Ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Vertebra
from lumbar.geometry import FloatArray
from lumbar.landmarks.decoding import Candidates, name_by_level, naming_score

LEVELS = len(Vertebra)

SHAPE_DEVIATION = 0.035
"""How far a corner lies from where the same body on another film has it, in endplate depths: what two readings get wrong
together. Our own choice."""

_ALIKE = 3.0
"""What a body of the very same shape speaks for its name, as a log likelihood ratio to no body at the level."""

_WORST = 5.0
"""What a body can lose of that by another shape, so that one badly read body does not decide. Both are our own choice: on 210 simulated studies
they left the fewest bodies with a wrong name among those that left the most with a right one."""

_FEWEST = 3
"""Films with fewer levels in common say nothing of one another: their sizes cannot be told."""

_ROUNDS = 3

Names = NDArray[np.intp]
"""(6,): index of each level's candidate, -1 for none."""

NO_NAMES: Names = np.full(LEVELS, -1, dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """What `name_together` finds.

    named: each film's names. score: log of how well they fit; higher is better, also over other candidates for the same films. alike: the mean
    log likelihood ratio, over a film's named bodies, that they have the shapes of the other films'; 0 where nothing can be compared.
    """

    named: list[Names]
    score: float
    alike: list[float]


def name_together(films: Sequence[Candidates], depth_share: float = SHAPE_DEVIATION) -> Together:
    """Names for each film's candidates, chosen for all films at once; candidates in square pixels of any size.

    The choice maximises the films' own scores plus the log likelihood that bodies of one name have one shape. It is looked for from
    each film's own names, and from these moved by a level, by naming the others after it and then every film after all others.
    """
    patient = _Patient.of(films, depth_share)
    own = [name_by_level(candidates) for candidates in films]
    choices = [patient.settled(own)]
    for film, names in enumerate(own):
        for first in _moved(names, len(films[film])):
            others = [
                first if other == film else patient.named_after(other, mine, {film: first})
                for other, mine in enumerate(own)
            ]
            choices.append(patient.settled(others))
    best = max(choices, key=patient.score)
    return Together(best, patient.score(best), [patient.alike(film, best) for film in range(len(films))])


def told_places(films: Sequence[Candidates], named: Sequence[Names], film: int) -> dict[int, FloatArray]:
    """Where a film's bodies lie, by the other films, that it lacks or shows in another shape than all of them: level -> corners (4, 2).

    That it has another shape is held against a film only where two others agree on the body's, since else either may be misread. The body is
    laid beside its neighbours as another film has it; the mean over those neighbours that both films show alike, and over films.
    """
    patient = _Patient.of(films, SHAPE_DEVIATION)
    others = [other for other in range(len(films)) if other != film]
    likeness = {other: patient.likeness(film, named[film], other, named[other]) for other in others}
    places = {}
    for level, mine in enumerate(named[film]):
        showing = [other for other in others if named[other][level] >= 0]
        if mine >= 0:
            if any(likeness[other][mine, level] >= 0 for other in showing):
                continue
            showing = patient.agreeing(showing, named, level)
        beside = [
            patient.beside(film, named[film], other, named[other], neighbour, level)
            for other in showing
            for neighbour in (level - 1, level + 1)
            if 0 <= neighbour < LEVELS and min(named[film][neighbour], named[other][neighbour]) >= 0
            if likeness[other][named[film][neighbour], neighbour] > 0
        ]
        if beside:
            outline = np.mean(beside, axis=0)
            places[level] = np.stack([outline.real, outline.imag], axis=1)
    return places


def _moved(named: Names, count: int) -> Iterable[Names]:
    """A film's names as they are, and with each on the body above and below: L1 and S1 on the candidate that lies there, if one does."""
    yield named
    if (named >= 0).sum() < LEVELS - 1:
        return
    above = named[0] - 1 if named[0] > 0 else -1
    below = named[-1] + 1 if 0 <= named[-1] < count - 1 else -1
    for moved in (np.array([above, *named[:-1]]), np.array([*named[1:], below])):
        if (moved >= 0).sum() >= LEVELS - 1:
            yield moved


@dataclass(frozen=True, slots=True, eq=False)
class _Patient:
    """The candidates of all films, and how their outlines compare.

    outlines: each film's (N, 4), about their middle, as complex numbers: a turn is a factor. depths: of their superior endplates (N,).
    variance: of a coordinate's difference between two films, in squared depths.
    """

    films: Sequence[Candidates]
    outlines: list[NDArray[np.complex128]]
    depths: list[FloatArray]
    variance: float

    @classmethod
    def of(cls, films: Sequence[Candidates], depth_share: float) -> _Patient:
        outlines = [candidates.corners[..., 0] + 1j * candidates.corners[..., 1] for candidates in films]
        depths = [np.abs(outline[:, 1] - outline[:, 0]) for outline in outlines]
        return cls(films, outlines, depths, 2 * depth_share**2)

    def settled(self, names: Sequence[Names]) -> list[Names]:
        """These names, each film's in turn chosen anew after all the others'."""
        settled = list(names)
        for _ in range(_ROUNDS):
            before = list(settled)
            for film, mine in enumerate(settled):
                others = {other: theirs for other, theirs in enumerate(settled) if other != film}
                settled[film] = self.named_after(film, mine, others)
            if all(np.array_equal(a, b) for a, b in zip(before, settled, strict=True)):
                break
        return settled

    def named_after(self, film: int, mine: Names, others: Mapping[int, Names]) -> Names:
        """A film's names by its own scores and by the likeness of its bodies to those of the others; `mine` tells its size."""
        likeness = np.zeros((len(self.films[film]), LEVELS))
        for other, theirs in others.items():
            named = theirs >= 0
            likeness[:, named] += self.likeness(film, mine, other, theirs)[:, named]
        return name_by_level(self.films[film], likeness * 2 / (len(others) + 1))

    def score(self, names: Sequence[Names]) -> float:
        """What `name_together` makes largest. Of the pairs of F films only F - 1 are independent, hence their weight of 2 / F."""
        own = sum(naming_score(candidates, named) for candidates, named in zip(self.films, names, strict=True))
        pairs = combinations(range(len(names)), 2)
        between = sum(float(self._shared(film, other, names).sum()) for film, other in pairs)
        return own + between * 2 / max(1, len(names))

    def alike(self, film: int, names: Sequence[Names]) -> float:
        """How alike this film's bodies and those of the others of the same names are, on average."""
        shared = [self._shared(film, other, names) for other in range(len(names)) if other != film]
        every = np.concatenate([np.zeros(0), *shared])
        return float(every.mean()) if len(every) else 0.0

    def _shared(self, film: int, other: int, names: Sequence[Names]) -> FloatArray:
        """Log likelihood ratios that the levels that both films have are the same bodies."""
        both = _both(names[film], names[other])
        return np.asarray(self.likeness(film, names[film], other, names[other])[names[film][both], both])

    def likeness(self, film: int, mine: Names, other: int, theirs: Names) -> FloatArray:
        """Log likelihood ratios (N, 6) that each body of one film is the one that another film has at each level; 0 where it has none.

        L1 to L5 by four corners, S1 by its endplate. Sizes are taken relative to the mean over the levels that both films have, so
        magnification does not matter; with too few such levels everything is 0.
        """
        both = _both(mine, theirs)
        likeness = np.zeros((len(self.films[film]), LEVELS))
        if len(both) < _FEWEST:
            return likeness
        size, other_size = self.depths[film][mine[both]].mean(), self.depths[other][theirs[both]].mean()
        for level in np.nonzero(theirs >= 0)[0]:
            corners = _corners_of(int(level))
            bodies, body = (
                self.outlines[film][:, :corners] / size,
                self.outlines[other][theirs[level], :corners] / other_size,
            )
            disagreement = np.minimum(squares_apart(bodies, body) / (2 * self.variance), _WORST)
            likeness[:, level] = _ALIKE - disagreement
        return likeness

    def agreeing(self, films: Sequence[int], named: Sequence[Names], level: int) -> list[int]:
        """Those of the films whose body at this level, which all of them have, has the shape of another's."""
        alike = {
            (one, other): self.likeness(one, named[one], other, named[other])[named[one][level], level] > 0
            for one, other in permutations(films, 2)
        }
        return [one for one in films if any(alike[one, other] for other in films if other != one)]

    def beside(
        self, film: int, mine: Names, other: int, theirs: Names, neighbour: int, level: int
    ) -> NDArray[np.complex128]:
        """The outline (4,) of another film's body, laid on this film by the shift, turn and size that bring its neighbour there."""
        corners = _corners_of(neighbour)
        to, at = self.outlines[film][mine[neighbour], :corners], self.outlines[other][theirs[neighbour], :corners]
        apart = at - at.mean()
        turn = (apart.conj() * (to - to.mean())).sum() / (np.abs(apart) ** 2).sum()
        outline: NDArray[np.complex128] = to.mean() + turn * (self.outlines[other][theirs[level]] - at.mean())
        return outline


def _corners_of(level: int) -> int:
    return 2 if level == LEVELS - 1 else 4


def _both(one: Names, other: Names) -> Names:
    """The levels that both films have."""
    return np.nonzero((one >= 0) & (other >= 0))[0]


def squares_apart(outlines: NDArray[np.complex128], outline: NDArray[np.complex128]) -> FloatArray:
    """Sums of squared distances (N,) between the points of outlines (N, K) and of one (K,), after the best shift and turn of each.

    >>> square, oblong = np.array([0, 1, 1 + 1j, 1j]), np.array([0, 1.2, 1.2 + 1j, 1j])
    >>> squares_apart(np.array([square * 1j + 5, oblong]), square).round(2).tolist()  # four times 0.1^2
    [0.0, 0.04]
    """
    a = outlines - outlines.mean(axis=1, keepdims=True)
    b = outline - outline.mean()
    along = np.abs((a.conj() * b).sum(axis=1))
    return np.asarray(np.maximum((np.abs(a) ** 2).sum(axis=1) + (np.abs(b) ** 2).sum() - 2 * along, 0.0))
