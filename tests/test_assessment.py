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
    DISPLACEMENT_AT,
    PAPER,
    SlipGrade,
    StabilityCriteria,
    Verdict,
    assess_level,
    assess_stability,
    grade_of,
    grade_slip,
)
from lumbar.landmarks import AnatomicalSpine
from lumbar.measurements import Measurement, Unmeasurable, measure
from tests.spines import a_spine


def moved(mm, error=None, site="L4/L5"):
    return Measurement("translation", site, mm, "mm", error, "")


def turned(deg, error=None, site="L4/L5"):
    return Measurement("angulation", site, deg, "deg", error, "")


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
    found = assess_level(moved(translation, error), turned(angulation, error))
    assert found.verdict == verdict
    assert found.probability == (None if error is None else float(verdict == "unstable"))


def test_a_change_that_rounding_lifts_over_its_threshold_is_stable():
    assert assess_level(moved(3 + 1e-12), turned(-12 - 1e-12)).verdict is Verdict.STABLE


def test_the_probability_of_instability_is_that_of_either_change_exceeding_its_threshold():
    found = assess_level(moved(2.0, 0.8), turned(-9.0, 2.5))
    shift, turn = NormalDist(2.0, 0.8), NormalDist(-9.0, 2.5)
    within = (shift.cdf(3) - shift.cdf(-3)) * (turn.cdf(12) - turn.cdf(-12))
    assert found.probability == pytest.approx(1 - within)


def test_the_probability_agrees_with_drawn_changes():
    rng = np.random.default_rng(3)
    shifts, turns = rng.normal(2.6, 1.1, 200_000), rng.normal(10, 2, 200_000)
    share = np.mean((abs(shifts) > 3) | (abs(turns) > 12))
    assert assess_level(moved(2.6, 1.1), turned(10.0, 2.0)).probability == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize(
    ("translation", "verdict"), [(0.5, "stable"), (2.9, "undetermined"), (3.1, "undetermined"), (6.0, "unstable")]
)
def test_a_verdict_needs_a_probability_of_nine_tenths(translation, verdict):
    found = assess_level(moved(translation, 1.0), turned(0.0, 1.0))
    assert found.verdict == verdict
    assert (found.reason is None) == (verdict != "undetermined")


def test_nine_tenths_is_enough():
    at_nine_tenths = 3 + NormalDist().inv_cdf(0.9)
    assert assess_level(moved(at_nine_tenths + 1e-6, 1.0), turned(0.0, 1.0)).verdict is Verdict.UNSTABLE
    assert assess_level(moved(at_nine_tenths - 1e-3, 1.0), turned(0.0, 1.0)).verdict is Verdict.UNDETERMINED


def test_where_one_error_is_unknown_the_bare_rule_decides_both():
    found = assess_level(moved(2.9, 1.0), turned(0.0, None))
    assert (found.verdict, found.probability) == (Verdict.STABLE, None)


def test_a_level_is_not_called_stable_by_half_of_the_rule():
    found = assess_level(NOT_MOVED, turned(2.0, 0.1))
    assert (found.verdict, found.probability) == (Verdict.UNDETERMINED, None)
    assert found.reason == "no translation: no pixel spacing"


def test_a_level_is_called_unstable_by_half_of_the_rule_and_says_what_is_missing():
    found = assess_level(moved(7.0, 0.5), NOT_TURNED)
    assert (found.verdict, found.probability) == (Verdict.UNSTABLE, None)
    assert found.reason == "no angulation: L4 inferior anterior corner absent"


def test_nothing_measured_gives_no_verdict_and_both_reasons():
    found = assess_level(NOT_MOVED, NOT_TURNED)
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
    flexion = measure(a_spine({"L4/L5": 25, "L5/S1": 10}, {"L4/L5": -3}, corner_error_mm=0.2))
    extension = measure(a_spine({"L4/L5": 10, "L5/S1": 5}, {"L4/L5": 6}, corner_error_mm=0.3))
    found = {level.site: level for level in assess_stability(flexion, extension)}
    assert list(found) == [str(level) for level in LEVELS]
    assert found["L4/L5"].translation.value == pytest.approx(0.15 * 32)
    assert found["L4/L5"].angulation.value == pytest.approx(-9)
    assert found["L4/L5"].verdict is Verdict.UNSTABLE
    assert found["L5/S1"].translation.value == pytest.approx(0.05 * 32)
    assert found["L5/S1"].translation.method == "sagittal_displacement_endplate, flexion - extension"
    errors = [
        m.standard_error for film in (flexion, extension) for m in film
        if (m.quantity, m.site) == ("sagittal_displacement_wall", "L4/L5")
    ]  # fmt: skip
    assert found["L4/L5"].translation.standard_error == pytest.approx(math.hypot(*errors))
    assert found["L1/L2"].verdict is Verdict.STABLE


def test_a_corner_that_is_absent_on_one_film_is_the_reason_at_its_level_alone():
    flexion = measure(a_spine(absent=((Vertebra.L3, Corner.INFERIOR_ANTERIOR),)))
    found = {level.site: level for level in assess_stability(flexion, measure(a_spine()))}
    assert found["L3/L4"].angulation.reason == "L3 inferior anterior corner absent (in flexion)"
    assert found["L3/L4"].verdict is Verdict.UNDETERMINED
    assert {v.verdict for site, v in found.items() if site != "L3/L4"} == {Verdict.STABLE}


def test_what_is_absent_on_both_films_is_said_once():
    film = measure(a_spine(absent=((Vertebra.L3, Corner.INFERIOR_ANTERIOR),)))
    (level,) = [found for found in assess_stability(film, film) if found.site == "L3/L4"]
    assert level.angulation.reason == "L3 inferior anterior corner absent (in flexion and extension)"


def test_other_criteria_are_data_with_a_threshold_of_their_own_at_each_site():
    lenient = StabilityCriteria(
        "lenient", 4.5, {"L1/L2": 15, "L2/L3": 15, "L3/L4": 15, "L4/L5": 20, "L5/S1": 25}, "a test"
    )
    assert assess_level(moved(4.0), turned(18.0), PAPER).verdict is Verdict.UNSTABLE
    assert assess_level(moved(4.0), turned(18.0), lenient).verdict is Verdict.STABLE
    assert assess_level(moved(4.0, site="L3/L4"), turned(18.0, site="L3/L4"), lenient).verdict is Verdict.UNSTABLE
    assert assess_level(moved(4.0), turned(18.0), lenient).criteria == "lenient"


def test_criteria_must_know_every_site():
    with pytest.raises(ValueError, match="must have the sites L1/L2, L2/L3, L3/L4, L4/L5, L5/S1; got L4/L5"):
        StabilityCriteria("partial", 3.0, {"L4/L5": 12.0}, "a test")
