"""Measurements -> verdicts: Meyerding's boundaries, and the rule for stability with its probability."""

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.anatomy import LEVELS, Corner, Vertebra
from lumbar.assessment import (
    CRITERIA,
    PAPER,
    SlipGrade,
    StabilityCriteria,
    Verdict,
    assess_level,
    assess_stability,
    grade_of,
    grade_slip,
)
from lumbar.assessment.normal import probability_within
from lumbar.landmarks import AnatomicalSpine
from lumbar.measurements import DISPLACEMENT_AT, LevelChange, Measurement, Unmeasurable, measure, measure_changes
from tests.spines import a_spine


def moved(mm, error=None, site="L4/L5"):
    return Measurement("translation", site, mm, "mm", error, "")


def turned(deg, error=None, site="L4/L5"):
    return Measurement("angulation", site, deg, "deg", error, "")


def slid(percent, error=None, site="L4/L5"):
    return Measurement("slip", site, percent, "%", error, "")


def a_change(translation, angulation, slip=None, correlation=0.0) -> LevelChange:
    """Errors of translation and angulation correlate; the slip's are on their own."""
    slip = slip or Unmeasurable("slip", translation.site, "not asked for")
    errors = [getattr(figure, "standard_error", None) for figure in (translation, slip, angulation)]
    sd = np.array([np.nan if error is None else error for error in errors])
    covariance = np.diag(sd**2)
    covariance[0, 2] = covariance[2, 0] = correlation * sd[0] * sd[2]
    return LevelChange(translation.site, translation, slip, angulation, covariance)


def judged(translation, angulation, criteria=PAPER):
    return assess_level(a_change(translation, angulation), criteria)


NOT_MOVED = Unmeasurable("translation", "L4/L5", "no pixel spacing")
NOT_TURNED = Unmeasurable("angulation", "L4/L5", "L4 inferior anterior corner absent")


@pytest.mark.parametrize(
    ("slip", "grade", "direction"),
    [
        (0, 0, "none"),
        (6.99, 0, "none"),
        (7, 1, "anterolisthesis"),
        (24.99, 1, "anterolisthesis"),
        (25, 2, "anterolisthesis"),
        (49.99, 2, "anterolisthesis"),
        (50, 3, "anterolisthesis"),
        (75, 4, "anterolisthesis"),
        (99.99, 4, "anterolisthesis"),
        (100, 5, "anterolisthesis"),
        (150, 5, "anterolisthesis"),
        (-7, 0, "none"),
        (-12.99, 0, "none"),
        (-13, 1, "retrolisthesis"),
        (-25, 2, "retrolisthesis"),
        (-60, 3, "retrolisthesis"),
    ],
)
def test_meyerding_grades_are_quarters_and_a_boundary_belongs_to_the_higher_one(slip, grade, direction):
    found = grade_slip("L4/L5", slip, None)
    assert (found.grade, found.direction) == (grade, direction)


@settings(max_examples=50, deadline=None)
@given(st.floats(-180, 180), st.sampled_from([25, 50, 75, 100]))
def test_a_turned_film_gives_a_slip_at_a_boundary_the_same_grade(degrees, slip):
    spine = a_spine(slip_percent={"L4/L5": slip})
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned_film = AnatomicalSpine(spine.points @ np.array([[c, s], [-s, c]]), spine.covariance, True)
    (found,) = [m.value for m in measure(turned_film) if (m.quantity, m.site) == ("slip", "L4/L5")]
    assert grade_of(found) == 1 + slip // 25


def test_the_probability_of_a_grade_is_the_normal_tail_beyond_its_boundary_on_either_side():
    found = grade_slip("L4/L5", 22.0, 3.0).probability_at_least
    normal = NormalDist(22.0, 3.0)
    assert found[1] == pytest.approx(1 - normal.cdf(25) + normal.cdf(-25))
    assert found[0] == pytest.approx(1 - normal.cdf(7) + normal.cdf(-13))
    wide = grade_slip("L4/L5", 0.0, 10.0).probability_at_least
    assert wide[0] == pytest.approx(1 - NormalDist(0, 10).cdf(7) + NormalDist(0, 10).cdf(-13))


def test_a_slip_at_a_boundary_reaches_the_higher_grade_with_probability_one_half():
    assert grade_slip("L4/L5", 50.0, 2.0).probability_at_least[2] == pytest.approx(0.5)


@settings(max_examples=100, deadline=None)
@given(st.floats(-200, 200), st.floats(0, 100))
def test_a_higher_grade_is_never_more_probable_than_a_lower_one(slip, error):
    found = grade_slip("L4/L5", slip, error).probability_at_least
    assert len(found) == 5 and all(0 <= p <= 1 for p in found)
    assert all(lower >= higher for lower, higher in pairwise(found))


def test_a_slip_known_exactly_has_its_grade_for_certain_and_one_of_unknown_error_no_probability():
    assert grade_slip("L4/L5", 60.0, 0.0).probability_at_least == (1, 1, 1, 0, 0)
    assert grade_slip("L4/L5", 60.0, None).probability_at_least is None


@pytest.mark.parametrize("error", [None, 2.5])
def test_a_grade_comes_back_from_its_json(error):
    grade = grade_slip("L4/L5", -31.0, error)
    assert SlipGrade.from_json(grade.to_json()) == grade


@pytest.mark.parametrize(
    ("translation", "angulation", "verdict"),
    [
        (0.0, 0.0, "stable"),
        (3.0, 12.0, "stable"),
        (-3.0, -12.0, "stable"),
        (3.01, 0.0, "unstable"),
        (-3.01, 0.0, "unstable"),
        (0.0, 12.01, "unstable"),
        (0.0, -12.01, "unstable"),
    ],
)
@pytest.mark.parametrize("error", [None, 0.0])
def test_by_the_papers_rule_more_than_3_mm_or_12_degrees_is_unstable(translation, angulation, verdict, error):
    found = judged(moved(translation, error), turned(angulation, error))
    assert found.verdict == verdict
    assert found.probability == (None if error is None else float(verdict == "unstable"))


def test_a_change_that_rounding_lifts_over_its_threshold_is_stable():
    assert judged(moved(3 + 1e-12), turned(-12 - 1e-12)).verdict is Verdict.STABLE


def test_the_probability_of_instability_is_that_of_either_change_exceeding_its_threshold():
    found = judged(moved(2.0, 0.8), turned(-9.0, 2.5))
    shift, turn = NormalDist(2.0, 0.8), NormalDist(-9.0, 2.5)
    within = (shift.cdf(3) - shift.cdf(-3)) * (turn.cdf(12) - turn.cdf(-12))
    assert found.probability == pytest.approx(1 - within)


def test_the_probability_agrees_with_drawn_changes():
    rng = np.random.default_rng(3)
    shifts, turns = rng.normal(2.6, 1.1, 200_000), rng.normal(10, 2, 200_000)
    share = np.mean((abs(shifts) > 3) | (abs(turns) > 12))
    assert judged(moved(2.6, 1.1), turned(10.0, 2.0)).probability == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize(
    ("translation", "verdict"), [(0.5, "stable"), (2.9, "undetermined"), (3.1, "undetermined"), (6.0, "unstable")]
)
def test_a_verdict_needs_a_probability_of_nine_tenths(translation, verdict):
    found = judged(moved(translation, 1.0), turned(0.0, 1.0))
    assert found.verdict == verdict
    assert (found.reason is None) == (verdict != "undetermined")


def test_nine_tenths_is_enough():
    at_nine_tenths = 3 + NormalDist().inv_cdf(0.9)
    assert judged(moved(at_nine_tenths + 1e-6, 1.0), turned(0.0, 1.0)).verdict is Verdict.UNSTABLE
    assert judged(moved(at_nine_tenths - 1e-3, 1.0), turned(0.0, 1.0)).verdict is Verdict.UNDETERMINED


def test_where_one_error_is_unknown_the_bare_rule_decides_both():
    found = judged(moved(2.9, 1.0), turned(0.0, None))
    assert (found.verdict, found.probability) == (Verdict.STABLE, None)


def test_a_level_is_not_called_stable_by_half_of_the_rule():
    found = judged(NOT_MOVED, turned(2.0, 0.1))
    assert (found.verdict, found.probability) == (Verdict.UNDETERMINED, None)
    assert found.reason == "no translation: no pixel spacing"


def test_a_level_is_called_unstable_by_half_of_the_rule_and_says_what_is_missing():
    found = judged(moved(7.0, 0.5), NOT_TURNED)
    assert (found.verdict, found.probability) == (Verdict.UNSTABLE, None)
    assert found.reason == "no angulation: L4 inferior anterior corner absent"


def test_nothing_measured_gives_no_verdict_and_both_reasons():
    found = judged(NOT_MOVED, NOT_TURNED)
    assert found.verdict is Verdict.UNDETERMINED
    assert found.reason == "no translation: no pixel spacing; no angulation: L4 inferior anterior corner absent"


def test_translation_is_taken_from_the_wall_and_at_l5_s1_along_the_endplate():
    assert DISPLACEMENT_AT == {
        "L1/L2": "sagittal_displacement_wall",
        "L2/L3": "sagittal_displacement_wall",
        "L3/L4": "sagittal_displacement_wall",
        "L4/L5": "sagittal_displacement_wall",
        "L5/S1": "sagittal_displacement_endplate",
    }


def test_levels_are_compared_flexion_less_extension_with_independent_errors():
    flexion = a_spine({"L4/L5": 25, "L5/S1": 10}, {"L4/L5": -3}, corner_error_mm=0.2)
    extension = a_spine({"L4/L5": 10, "L5/S1": 5}, {"L4/L5": 6}, corner_error_mm=0.3)
    changes = {change.site: change for change in measure_changes(flexion, extension)}
    assert list(changes) == [str(level) for level in LEVELS]
    assert changes["L4/L5"].translation.value == pytest.approx(0.15 * 32)
    assert changes["L4/L5"].slip.value == pytest.approx(15)
    assert changes["L4/L5"].angulation.value == pytest.approx(-9)
    assert changes["L5/S1"].translation.value == pytest.approx(0.05 * 32)
    assert changes["L5/S1"].translation.method == "sagittal_displacement_endplate, flexion - extension"
    for quantity, figure in (
        ("sagittal_displacement_wall", "translation"),
        ("slip", "slip"),
        ("intervertebral_angle", "angulation"),
    ):
        errors = [
            m.standard_error for film in (flexion, extension) for m in measure(film)
            if (m.quantity, m.site) == (quantity, "L4/L5")
        ]  # fmt: skip
        assert getattr(changes["L4/L5"], figure).standard_error == pytest.approx(math.hypot(*errors), rel=1e-6)
    verdicts = {level.site: level.verdict for level in assess_stability(list(changes.values()))}
    assert verdicts["L4/L5"] is Verdict.UNSTABLE and verdicts["L1/L2"] is Verdict.STABLE


def test_the_covariance_of_the_changes_is_that_of_drawn_corners():
    flexion, extension = a_spine({"L4/L5": 8}, {"L4/L5": -3}, corner_error_mm=0.2), a_spine(corner_error_mm=0.3)
    rng = np.random.default_rng(5)

    def drawn(spine: AnatomicalSpine, sd: float) -> AnatomicalSpine:
        return AnatomicalSpine(spine.points + rng.normal(0, sd, (22, 2)), spine.covariance, True)

    draws = []
    for _ in range(400):
        (level,) = [c for c in measure_changes(drawn(flexion, 0.2), drawn(extension, 0.3)) if c.site == "L4/L5"]
        draws.append([figure.value for figure in level.figures])
    (level,) = [c for c in measure_changes(flexion, extension) if c.site == "L4/L5"]
    found = np.cov(np.array(draws).T)
    sd = np.sqrt(np.diag(found))
    np.testing.assert_allclose(level.covariance / np.outer(sd, sd), found / np.outer(sd, sd), atol=0.2)


def test_a_corner_that_is_absent_on_one_film_is_the_reason_at_its_level_alone():
    flexion = a_spine(absent=((Vertebra.L3, Corner.INFERIOR_ANTERIOR),))
    changes = {change.site: change for change in measure_changes(flexion, a_spine())}
    assert changes["L3/L4"].angulation.reason == "L3 inferior anterior corner absent (in flexion)"
    verdicts = {level.site: level.verdict for level in assess_stability(list(changes.values()))}
    assert verdicts.pop("L3/L4") is Verdict.UNDETERMINED
    assert set(verdicts.values()) == {Verdict.STABLE}


def test_an_absent_corner_does_not_cost_the_other_changes_their_errors():
    absent = ((Vertebra.L3, Corner.INFERIOR_ANTERIOR),)
    flexion, extension = a_spine(absent=absent, corner_error_mm=0.2), a_spine(corner_error_mm=0.2)
    (level,) = [change for change in measure_changes(flexion, extension) if change.site == "L3/L4"]
    assert level.translation.standard_error > 0 and level.slip.standard_error > 0


def test_what_is_absent_on_both_films_is_said_once():
    film = a_spine(absent=((Vertebra.L3, Corner.INFERIOR_ANTERIOR),))
    (level,) = [found for found in measure_changes(film, film) if found.site == "L3/L4"]
    assert level.angulation.reason == "L3 inferior anterior corner absent (in flexion and extension)"


@pytest.mark.parametrize(
    ("criteria", "site", "translation", "slip", "angulation", "verdict"),
    [
        ("paper", "L4/L5", 3.5, 0, 0, "unstable"),
        ("ama-5", "L4/L5", 4.5, 0, 20, "stable"),
        ("ama-5", "L4/L5", 4.51, 0, 0, "unstable"),
        ("ama-5", "L3/L4", 0, 0, 15.1, "unstable"),
        ("ama-5", "L4/L5", 0, 0, 15.1, "stable"),
        ("ama-5", "L5/S1", 0, 0, 25.1, "unstable"),
        ("white-panjabi", "L4/L5", 4.0, 15.1, 0, "unstable"),
        ("white-panjabi", "L4/L5", 4.0, 14.9, 0, "stable"),
        ("review", "L4/L5", 4.0, 0, 0, "unstable"),
        ("review", "L4/L5", 3.9, 7.9, 9.9, "stable"),
        ("review", "L4/L5", 0, -8, 0, "unstable"),
        ("review", "L5/S1", 0, 0, -19.9, "stable"),
        ("reference-interval", "L4/L5", 0, 11.6, 0, "stable"),
        ("reference-interval", "L4/L5", 0, 11.7, 0, "unstable"),
        ("reference-interval", "L2/L3", 0, 0, 19.8, "unstable"),
    ],
)
def test_each_set_of_criteria_decides_at_its_own_thresholds(criteria, site, translation, slip, angulation, verdict):
    change = a_change(moved(translation, site=site), turned(angulation, site=site), slid(slip, site=site))
    assert assess_level(change, CRITERIA[criteria]).verdict == verdict


def test_criteria_that_do_not_speak_of_a_level_say_so():
    found = assess_level(
        a_change(moved(9, site="L1/L2"), turned(9, site="L1/L2"), slid(9, site="L1/L2")), CRITERIA["reference-interval"]
    )
    assert (found.verdict, found.probability) == (Verdict.UNDETERMINED, None)
    assert found.reason == "the criteria reference-interval say nothing of L1/L2"


def test_without_mm_a_level_is_judged_by_its_slip_where_the_criteria_know_one():
    still = a_change(NOT_MOVED, turned(2.0, 0.1), slid(3.0, 0.1))
    assert assess_level(still, CRITERIA["white-panjabi"]).verdict is Verdict.STABLE
    assert assess_level(still, CRITERIA["ama-5"]).reason == "no translation: no pixel spacing"


def test_correlated_changes_are_not_counted_twice():
    apart, together = (
        assess_level(a_change(moved(3.0, 0.5), turned(12.0, 2.0), correlation=rho)).probability for rho in (0.0, 0.999)
    )
    assert apart == pytest.approx(0.75, abs=0.01) and together == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("n", [2, 3])
def test_the_probability_of_a_box_is_that_of_draws(n):
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n))
    mean, covariance, limits = rng.normal(size=n), root @ root.T, np.array([1.0, 2.0, 1.5])[:n]
    draws = rng.multivariate_normal(mean, covariance, 400_000)
    assert probability_within(mean, covariance, limits) == pytest.approx(
        (abs(draws) <= limits).all(axis=1).mean(), abs=0.004
    )


def test_criteria_must_name_known_sites_and_a_threshold():
    with pytest.raises(ValueError, match="must have sites among L1/L2, L2/L3, L3/L4, L4/L5, L5/S1; got T12/L1"):
        StabilityCriteria("odd", "a test", rotation_deg={"T12/L1": 12.0})
    with pytest.raises(ValueError, match="criteria empty must have a threshold; got none"):
        StabilityCriteria("empty", "a test")
