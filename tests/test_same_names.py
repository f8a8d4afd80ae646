"""Names of vertebrae that agree over the films of one patient."""

import numpy as np

from lumbar.landmarks.decoding import Candidates, name_by_level, naming_score
from lumbar.landmarks.same_names import name_together

# T12, L1 … L5, S1, S2: depth, anterior and posterior height; L5 is wedged, S1 and S2 stand for what is seen of the sacrum.
BODIES = [
    (30, 24, 26),
    (31, 25, 26),
    (32, 26, 26),
    (33, 27, 26),
    (34, 28, 26),
    (35, 29, 23),
    (34, 26, 28),
    (26, 20, 24),
]


def a_film(first_is: int = 1, sure: float = 0.9, tilt: float = 0.0, error: float = 0.0, seed: int = 0) -> Candidates:
    """Eight bodies from above; the one numbered `first_is` looks most like L1, and by `sure` more than its neighbours do."""
    rng = np.random.default_rng(seed)
    corners, y = [], 0.0
    for depth, front, back in BODIES:
        quad = np.array([[0, y], [depth, y], [0, y + front], [depth, y + back]], float)
        corners.append(quad + rng.normal(0, error, (4, 2)))
        y += max(front, back) + 7
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    outlines = np.array(corners) @ turn.T
    scores = np.full((len(BODIES), 6), 0.02)
    for level in range(6):
        for body in range(len(BODIES)):
            away = abs(body - first_is - level)
            scores[body, level] = sure if away == 0 else 1 - sure if away == 1 else 0.01
    centres = outlines.mean(axis=1)
    centres[6:] = outlines[6:, :2].mean(axis=1)  # a sacral body is centred on its endplate
    return Candidates(centres, outlines, scores)


RIGHT, TOO_LOW = [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, -1]


def test_alone_a_film_is_named_as_it_looks():
    assert name_by_level(a_film()).tolist() == RIGHT
    assert name_by_level(a_film(first_is=2, sure=0.85)).tolist() == TOO_LOW


def test_a_film_that_looks_a_level_too_low_is_named_by_the_shapes_on_the_others():
    films = [a_film(tilt=0.2), a_film(tilt=-0.1, error=0.4, seed=1), a_film(first_is=2, sure=0.85, error=0.4, seed=2)]
    assert [named.tolist() for named in name_together(films)] == [RIGHT] * 3


def test_two_unsure_films_do_not_outvote_a_sure_one():
    films = [a_film(sure=0.98), a_film(first_is=2, sure=0.8), a_film(first_is=2, sure=0.8, error=0.3, seed=3)]
    assert [named.tolist() for named in name_together(films)] == [RIGHT] * 3


def test_films_that_agree_keep_their_names():
    films = [a_film(tilt=t, error=0.5, seed=i) for i, t in enumerate((0.0, 0.3, -0.3))]
    assert [named.tolist() for named in name_together(films)] == [RIGHT] * 3


def test_magnification_does_not_matter():
    large = a_film(first_is=2, sure=0.85)
    larger = Candidates(large.centres * 1.7, large.corners * 1.7, large.scores)
    assert [named.tolist() for named in name_together([a_film(), larger])] == [RIGHT] * 2


def test_a_film_that_shows_few_bodies_stays_as_it_is():
    whole = a_film()
    few = Candidates(whole.centres[1:4], whole.corners[1:4], whole.scores[1:4])
    together = name_together([whole, few])
    assert together[0].tolist() == RIGHT and together[1].tolist() == [0, 1, 2, -1, -1, -1]


def test_better_names_score_higher():
    film = a_film()
    assert naming_score(film, np.array(RIGHT)) > naming_score(film, np.array(TOO_LOW))
    assert naming_score(film, np.array(RIGHT)) > naming_score(film, np.array([1, 2, 3, 4, 5, -1]))
