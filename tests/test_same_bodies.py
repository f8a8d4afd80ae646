"""Vertebrae that keep their shape from film to film."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.anatomy import LANDMARK_INDEX, Corner, Vertebra, rows_of
from lumbar.landmarks import AnatomicalSpine, same_bodies
from lumbar.landmarks.same_bodies import fit_same_bodies
from lumbar.measurements import SLIP, Measurement, measure, measure_changes
from tests.spines import a_spine

BENT = a_spine({"L4/L5": 10}, {"L4/L5": -5, "L2/L3": -3}, sacral_slope_deg=20, corner_error_mm=0.5)
UPRIGHT = a_spine(sacral_slope_deg=38, corner_error_mm=0.5)
STRAIGHT = a_spine({"L4/L5": 3}, {"L4/L5": 5, "L2/L3": 4}, sacral_slope_deg=45, corner_error_mm=0.5)
FILMS = (BENT, UPRIGHT, STRAIGHT)


def read_with_errors(spine: AnatomicalSpine, rng: np.random.Generator, sd: float = 0.5) -> AnatomicalSpine:
    return AnatomicalSpine(spine.points + rng.normal(0, sd, spine.points.shape), spine.covariance, True)


def test_films_without_errors_stay_as_they_are():
    fit = fit_same_bodies(FILMS)
    for found, spine in zip(fit.spines, FILMS, strict=True):
        np.testing.assert_allclose(found.points, spine.points, atol=1e-6)
    assert fit.misfit == pytest.approx(0, abs=1e-9)


def changes(flexion, extension, covariance=None):
    (level,) = [c for c in measure_changes(flexion, extension, covariance) if c.site == "L4/L5"]
    return level


def test_motion_is_measured_almost_twice_as_well_as_by_independent_readings_and_the_error_bars_know_it():
    true, rng = changes(BENT, STRAIGHT), np.random.default_rng(0)
    alone, together, claimed, misfits = [], [], [], []
    for _ in range(120):
        read = [read_with_errors(film, rng) for film in FILMS]
        fit = fit_same_bodies(read)
        pair = np.r_[0:44, 88:132]
        fitted = changes(fit.spines[0], fit.spines[2], fit.covariance[np.ix_(pair, pair)])
        for found, kept in ((changes(read[0], read[2]), alone), (fitted, together)):
            kept.append([figure.value - truth.value for figure, truth in zip(found.figures, true.figures, strict=True)])
        claimed.append(np.diag(fitted.covariance))
        misfits.append(fit.misfit)
    spread_alone, spread_together = (np.std(errors, axis=0) for errors in (alone, together))
    assert (spread_alone / spread_together > 1.4).all()
    np.testing.assert_allclose(np.sqrt(np.mean(claimed, axis=0)), spread_together, rtol=0.2)
    assert np.mean(misfits) == pytest.approx(1, abs=0.1)


def test_error_bars_follow_the_misfit():
    """Corners that are off by twice as much as their error bars say: on three films a body's ten free residuals tell, half and half with six."""
    true, rng = changes(BENT, STRAIGHT), np.random.default_rng(0)
    errors, claimed = [], []
    for _ in range(120):
        fit = fit_same_bodies([read_with_errors(film, rng, 2 * 0.5) for film in FILMS])
        pair = np.r_[0:44, 88:132]
        fitted = changes(fit.spines[0], fit.spines[2], fit.covariance[np.ix_(pair, pair)])
        errors.append([figure.value - truth.value for figure, truth in zip(fitted.figures, true.figures, strict=True)])
        claimed.append(np.diag(fitted.covariance))
    widened = np.sqrt(np.mean(claimed, axis=0) / np.var(errors, axis=0))
    assert widened == pytest.approx(np.sqrt((6 + 10 * 4) / (6 + 10)) / 2, rel=0.15)


def of_the_bone(errors: np.ndarray, spine: AnatomicalSpine) -> np.ndarray:
    """Errors (22, 2) along and across each body's superior endplate, as they lie on the film."""
    turned = np.empty_like(errors)
    for vertebra in Vertebra:
        rows = rows_of(vertebra)
        along = spine.points[rows][0] - spine.points[rows][1]
        along = along / np.linalg.norm(along)
        turned[rows] = errors[rows] @ np.array([along, (-along[1], along[0])])
    return turned


def slip_of_l4(spine: AnatomicalSpine) -> Measurement:
    (slip,) = [m for m in measure(spine) if m.quantity == SLIP.name and m.site == "L4/L5"]
    assert isinstance(slip, Measurement)
    return slip


def test_errors_that_lie_the_same_way_on_every_film_drop_out_of_changes_and_stay_in_each_film(monkeypatch):
    """With error bars that are believed, whatever the misfit."""
    monkeypatch.setattr(same_bodies, "PRIOR_FREEDOM", 1e9)
    true, true_slip, rng = changes(BENT, STRAIGHT), slip_of_l4(BENT).value, np.random.default_rng(0)
    moved, slips = {0.0: [], 0.4: []}, {0.0: [], 0.4: []}
    for _ in range(80):
        lasting = rng.normal(0, 0.5 * 0.4**0.5, (22, 2))
        read = [
            read_with_errors(
                AnatomicalSpine(film.points + of_the_bone(lasting, film), film.covariance, True), rng, 0.5 * 0.6**0.5
            )
            for film in FILMS
        ]
        for share in moved:
            fit = fit_same_bodies(read, lasting_share=share)
            pair = np.r_[0:44, 88:132]
            change = changes(fit.spines[0], fit.spines[2], fit.covariance[np.ix_(pair, pair)])
            errors = [found.value - real.value for found, real in zip(change.figures, true.figures, strict=True)]
            moved[share].append(errors / np.sqrt(np.diag(change.covariance)))
            slip = slip_of_l4(fit.spines[0])
            slips[share].append((slip.value - true_slip) / slip.standard_error)
    np.testing.assert_allclose(np.std(moved[0.4], axis=0), 1, atol=0.2)
    assert np.std(slips[0.4]) == pytest.approx(1, abs=0.2)
    assert (np.std(moved[0.0], axis=0) < 0.9).all() and np.std(slips[0.0]) > np.std(slips[0.4])


@settings(max_examples=15, deadline=None)
@given(st.floats(-30, 30), st.floats(-50, 50), st.integers(0, 1000))
def test_where_the_films_lay_and_how_they_were_turned_does_not_matter(turn_deg, shift_mm, seed):
    rng = np.random.default_rng(seed)
    read = [read_with_errors(film, rng) for film in FILMS]
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = AnatomicalSpine(read[2].points @ turn.T + shift_mm, read[2].covariance, True)
    one, other = fit_same_bodies(read), fit_same_bodies([read[0], read[1], moved])
    np.testing.assert_allclose(other.spines[0].points, one.spines[0].points, atol=1e-5)
    np.testing.assert_allclose(other.spines[2].points, one.spines[2].points @ turn.T + shift_mm, atol=1e-4)


def test_a_corner_that_was_read_badly_weighs_little():
    wrong = BENT.points.copy()
    row = LANDMARK_INDEX[Vertebra.L3, Corner.INFERIOR_ANTERIOR]
    wrong[row] += (6, 0)
    covariance = BENT.covariance.copy()
    covariance[row] = np.eye(2) * 6.0**2
    fit = fit_same_bodies([AnatomicalSpine(wrong, covariance, True), UPRIGHT, STRAIGHT])
    assert np.linalg.norm(fit.spines[0].points[row] - BENT.points[row]) < 0.3


def misread(spine: AnatomicalSpine, vertebra: Vertebra, mm: float = 12.0) -> AnatomicalSpine:
    """The body's inferior endplate so much too low."""
    points = spine.points.copy()
    points[rows_of(vertebra)][2:, 1] -= mm
    return AnatomicalSpine(points, spine.covariance, True)


def test_a_body_with_another_shape_on_one_film_is_fitted_to_the_others():
    read = [BENT, misread(UPRIGHT, Vertebra.L3), STRAIGHT]
    fit = fit_same_bodies(read)
    assert fit.strange == {Vertebra.L3: {1}}
    for found, given_, true in zip(fit.spines, read, FILMS, strict=True):
        np.testing.assert_allclose(found.points, given_.points if true is UPRIGHT else true.points, atol=1e-6)
    assert not fit_same_bodies(FILMS).strange


def test_of_two_films_neither_is_believed():
    read = [misread(BENT, Vertebra.L3), STRAIGHT]
    fit = fit_same_bodies(read)
    assert fit.strange == {Vertebra.L3: {0, 1}}
    np.testing.assert_array_equal(fit.spines[0].points[rows_of(Vertebra.L3)], read[0].points[rows_of(Vertebra.L3)])


def test_films_of_slightly_different_magnification_are_the_same_bodies():
    larger = AnatomicalSpine(STRAIGHT.points * 1.02, STRAIGHT.covariance, True)
    fit = fit_same_bodies([BENT, larger])
    np.testing.assert_allclose(fit.spines[1].points, larger.points, atol=0.15)
    assert fit.misfit < 0.1


def test_a_body_that_only_one_film_shows_stays_as_it_was_read():
    points = STRAIGHT.points.copy()
    points[rows_of(Vertebra.L1)] = np.nan
    fit = fit_same_bodies([BENT, AnatomicalSpine(points, STRAIGHT.covariance, True)])
    np.testing.assert_array_equal(fit.spines[0].points[:4], BENT.points[:4])
    np.testing.assert_array_equal(fit.spines[0].covariance[:4], BENT.covariance[:4])
    assert np.isnan(fit.spines[1].points[:4]).all()


def test_a_patient_who_turned_leaves_wider_errors():
    narrow, wide = (fit_same_bodies(FILMS, deviation) for deviation in (0.0, 0.6))
    assert (np.diag(wide.covariance) > np.diag(narrow.covariance)).all()


def test_unknown_errors_stay_unknown():
    films = [AnatomicalSpine(film.points, np.full((22, 2, 2), np.nan), True) for film in FILMS]
    fit = fit_same_bodies(films)
    assert np.isnan(fit.misfit) and np.isnan(fit.spines[0].covariance).all()
    np.testing.assert_allclose(fit.spines[0].points, BENT.points, atol=1e-6)


def test_one_film_is_no_comparison():
    with pytest.raises(ValueError, match="at least two films; got 1"):
        fit_same_bodies([BENT])
