"""Names of vertebrae that agree over the films of one patient."""

from itertools import combinations

import numpy as np
import pytest

from lumbar.landmarks.decoding import NO_CANDIDATES, Candidates, name_by_level, naming_score
from lumbar.landmarks.same_names import name_together, told_places

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
    assert [named.tolist() for named in name_together(films).named] == [RIGHT] * 3


def test_two_unsure_films_do_not_outvote_a_sure_one():
    films = [a_film(sure=0.98), a_film(first_is=2, sure=0.8), a_film(first_is=2, sure=0.8, error=0.3, seed=3)]
    assert [named.tolist() for named in name_together(films).named] == [RIGHT] * 3


def test_films_that_agree_keep_their_names():
    films = [a_film(tilt=t, error=0.5, seed=i) for i, t in enumerate((0.0, 0.3, -0.3))]
    assert [named.tolist() for named in name_together(films).named] == [RIGHT] * 3


def test_a_shadow_that_looks_like_a_vertebra_is_passed_over_where_the_other_films_do_not_show_its_shape():
    """L4's score is on a slanted shadow, which lies where L4 does; alone the film is misled."""
    film = a_film()
    L4 = 4
    shadow = film.corners[L4] @ np.array([[0.8, 0.3], [0.25, 0.7]])
    shadow += film.centres[L4] - shadow.mean(axis=0)
    of_shadow = film.scores[L4].copy()
    film.scores[L4, 3] = 0.4
    misled = Candidates(
        np.insert(film.centres, L4, film.centres[L4] - [0, 1], axis=0),
        np.insert(film.corners, L4, shadow, axis=0),
        np.insert(film.scores, L4, of_shadow, axis=0),
    )
    assert name_by_level(misled).tolist() == [1, 2, 3, 4, 6, 7]
    together = name_together([a_film(tilt=0.2), misled, a_film(tilt=-0.2, error=0.4)])
    assert together.named[1].tolist() == [1, 2, 3, 5, 6, 7]


def test_a_body_of_another_shape_keeps_its_name_where_nothing_else_could_bear_it():
    """It is misread rather than another vertebra; what its shape tells is for whoever compares the films."""
    film = a_film(error=0.4)
    film.corners[3, 1] += 8
    assert name_together([a_film(), film, a_film(tilt=0.2)]).named[1].tolist() == RIGHT


def test_a_film_seen_the_wrong_way_round_fits_the_others_less():
    """Of two ways to see the third film the score tells which is right, though the wrong one looks surer."""
    right, others = a_film(sure=0.7), [a_film(tilt=0.2), a_film(tilt=-0.1, error=0.4)]
    wrong = a_film(sure=0.75)
    for film in (right, wrong):
        film.corners[:, 1, 1] += 5  # no body is its own mirror image
    others = [Candidates(o.centres, o.corners + [[0, 0], [0, 5], [0, 0], [0, 0]], o.scores) for o in others]
    mirrored = Candidates(wrong.centres, wrong.corners[:, [1, 0, 3, 2]] * [-1, 1], wrong.scores)
    assert naming_score(mirrored, np.array(RIGHT)) > naming_score(right, np.array(RIGHT))
    assert name_together([right, *others]).score > name_together([mirrored, *others]).score


def test_a_film_without_bodies_gets_no_names_and_costs_the_others_none():
    together = name_together([a_film(), NO_CANDIDATES, a_film(tilt=0.1)]).named
    assert [named.tolist() for named in together] == [RIGHT, [-1] * 6, RIGHT]


def without(film: Candidates, body: int) -> Candidates:
    return Candidates(*(np.delete(part, body, axis=0) for part in (film.centres, film.corners, film.scores)))


@pytest.mark.parametrize("body", [1, 3, 6])
def test_where_a_missing_body_lies_the_other_films_tell(body):
    """Turned and half as large again, but for that no body moved."""
    film = a_film()
    others = [a_film(tilt=0.3), a_film(tilt=-0.2)]
    others = [Candidates(o.centres * 1.5, o.corners * 1.5, o.scores) for o in others]
    films = [without(film, body), *others]
    places = told_places(films, name_together(films).named, 0)
    corners = 2 if body == 6 else 4
    assert list(places) == [body - 1]
    np.testing.assert_allclose(places[body - 1][:corners], film.corners[body][:corners], atol=1e-6)


def test_where_a_misread_body_lies_the_other_films_tell_and_they_tell_nothing_of_the_others():
    truth, film = a_film(), a_film()
    film.corners[3, 1] += 12
    films = [film, a_film(tilt=0.3), a_film(tilt=-0.2)]
    named = name_together(films).named
    places = told_places(films, named, 0)
    assert list(places) == [2]
    np.testing.assert_allclose(places[2], truth.corners[3], atol=1e-6)
    assert told_places(films, named, 1) == {} and told_places(films[:1], named[:1], 0) == {}


def test_of_two_films_neither_tells_where_the_other_misread_a_body():
    misread = a_film()
    misread.corners[3, 1] += 12
    films = [misread, a_film(tilt=0.3)]
    named = name_together(films).named
    assert told_places(films, named, 0) == told_places(films, named, 1) == {}


def test_magnification_does_not_matter():
    large = a_film(first_is=2, sure=0.85)
    larger = Candidates(large.centres * 1.7, large.corners * 1.7, large.scores)
    assert [named.tolist() for named in name_together([a_film(), larger]).named] == [RIGHT] * 2


def test_a_film_that_shows_few_bodies_stays_as_it_is():
    whole = a_film()
    few = Candidates(whole.centres[1:4], whole.corners[1:4], whole.scores[1:4])
    together = name_together([whole, few]).named
    assert together[0].tolist() == RIGHT and together[1].tolist() == [0, 1, 2, -1, -1, -1]


def test_better_names_score_higher():
    film = a_film()
    assert naming_score(film, np.array(RIGHT)) > naming_score(film, np.array(TOO_LOW))
    assert naming_score(film, np.array(RIGHT)) > naming_score(film, np.array([1, 2, 3, 4, 5, -1]))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_chain_of_names_scores_higher(seed):
    """Of all ways to give six names, in order, to seven bodies of random scores."""
    film = a_film(error=1.5, seed=seed)
    scores = np.random.default_rng(seed).random((7, 6)) ** 4
    film = Candidates(film.centres[:7], film.corners[:7], scores)
    chains = []
    for levels in range(1, 7):
        for of in combinations(range(6), levels):
            for bodies in combinations(range(7), levels):
                named = np.full(6, -1)
                named[list(of)] = bodies
                chains.append(naming_score(film, named))
    assert naming_score(film, name_by_level(film)) == pytest.approx(max(chains))
