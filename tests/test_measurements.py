"""Points -> measurements: worked numbers, what they must not depend on, their errors, and what cannot be measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.anatomy import LANDMARK_INDEX, LEVELS, Corner, Side, Vertebra
from lumbar.geometry import Affine2D
from lumbar.landmarks import AnatomicalSpine, SpineLandmarks
from lumbar.measurements import (
    QUANTITIES,
    Measurement,
    Unmeasurable,
    genant_grade,
    implausibilities,
    measure,
    measure_everything,
    measure_lordosis,
    quantity_from_json,
)
from lumbar.radiograph import PixelSpacing
from tests.spines import a_spine, on_film

A_BENT_SPINE = a_spine(
    slip_percent={"L4/L5": 25, "L2/L3": -8},
    angle_deg={"L1/L2": 6, "L2/L3": 10, "L3/L4": 13, "L4/L5": 12, "L5/S1": 16},
    sacral_slope_deg=37,
)


def at(spine, name, site):
    (found,) = [m for m in measure_everything(spine) if (m.quantity, m.site) == (name, site)]
    return found


def values(spine):
    return {(m.quantity, m.site): m.value for m in measure(spine) if isinstance(m, Measurement)}


def moved(spine, **corners):
    """The spine with some corners, such as L4_inferior_posterior, moved by (x, y)."""
    points = spine.points.copy()
    for name, shift in corners.items():
        vertebra, corner = name.split("_", 1)
        points[LANDMARK_INDEX[Vertebra(vertebra), Corner(corner)]] += shift
    return AnatomicalSpine(points, spine.covariance, spine.in_mm)


def test_a_quarter_of_a_32_mm_endplate_is_a_slip_of_8_mm_and_25_percent():
    spine = a_spine(slip_percent={"L4/L5": 25})
    assert at(spine, "sagittal_displacement_wall", "L4/L5").value == pytest.approx(8)
    assert at(spine, "sagittal_displacement_endplate", "L4/L5").value == pytest.approx(8)
    assert at(spine, "slip", "L4/L5").value == pytest.approx(25)
    assert at(spine, "slip", "L3/L4").value == pytest.approx(0)


def test_a_backward_slip_is_negative():
    spine = a_spine(slip_percent={"L2/L3": -15})
    assert at(spine, "slip", "L2/L3").value == pytest.approx(-15)
    assert at(spine, "sagittal_displacement_wall", "L2/L3").value == pytest.approx(-4.8)


def test_a_disc_that_opens_anteriorly_has_a_positive_angle():
    spine = a_spine(angle_deg={"L3/L4": 13, "L4/L5": -5})
    assert at(spine, "intervertebral_angle", "L3/L4").value == pytest.approx(13)
    assert at(spine, "intervertebral_angle", "L4/L5").value == pytest.approx(-5)


def test_wall_and_endplate_displacement_differ_where_the_wall_is_not_square_to_the_endplate():
    spine = moved(a_spine(slip_percent={"L4/L5": 25}), L5_inferior_posterior=[-25 * np.tan(np.radians(10)), 0])
    wall = at(spine, "sagittal_displacement_wall", "L4/L5").value
    assert wall == pytest.approx(8 * np.cos(np.radians(10)) - 8 * np.sin(np.radians(10)))
    assert at(spine, "sagittal_displacement_endplate", "L4/L5").value == pytest.approx(8)


def test_the_slip_at_l5_s1_is_measured_along_the_sacral_endplate():
    spine = a_spine(slip_percent={"L5/S1": 50}, sacral_slope_deg=40)
    assert at(spine, "slip", "L5/S1").value == pytest.approx(50)
    assert at(spine, "sagittal_displacement_endplate", "L5/S1").value == pytest.approx(16)


def test_the_wall_displacement_is_undefined_at_l5_s1():
    found = at(a_spine(), "sagittal_displacement_wall", "L5/S1")
    assert isinstance(found, Unmeasurable)
    assert found.reason.startswith("S1 has no posterior-inferior corner")


def test_every_quantity_is_answered_at_every_level():
    answered = [(m.site, m.quantity) for m in measure(A_BENT_SPINE)]
    assert answered == [(str(level), q.name) for level in LEVELS for q in QUANTITIES]
    assert len(answered) == 20


def test_lordosis_is_the_sum_of_the_disc_angles_of_a_spine_of_rectangles():
    assert measure_lordosis(A_BENT_SPINE).value == pytest.approx(6 + 10 + 13 + 12 + 16)


def test_segmental_lordoses_add_up_to_the_lordosis():
    levels = [at(A_BENT_SPINE, "segmental_lordosis", str(level)).value for level in LEVELS]
    assert sum(levels) == pytest.approx(measure_lordosis(A_BENT_SPINE).value)


def test_a_disc_of_rectangles_is_8_mm_high_and_a_quarter_of_32_mm_deep():
    spine = a_spine()
    for part in ("anterior", "middle", "posterior"):
        assert at(spine, f"disc_height_{part}", "L4/L5").value == pytest.approx(8)
    assert at(spine, "disc_height_index", "L4/L5").value == pytest.approx(25)


def test_a_disc_that_opens_by_ten_degrees_is_higher_in_front():
    spine = a_spine(angle_deg={"L4/L5": 10})
    front, middle, back = (
        at(spine, f"disc_height_{part}", "L4/L5").value for part in ("anterior", "middle", "posterior")
    )
    assert front > middle > back == pytest.approx(8)
    assert front == pytest.approx(np.hypot(32 * (1 - np.cos(np.radians(10))), 8 + 32 * np.sin(np.radians(10))))


def test_a_disc_height_index_needs_no_pixel_spacing():
    flat = AnatomicalSpine(a_spine().points * 5, a_spine().covariance, in_mm=False)
    assert at(flat, "disc_height_index", "L1/L2").value == pytest.approx(25)
    assert isinstance(at(flat, "disc_height_middle", "L1/L2"), Unmeasurable)


def test_a_body_that_lost_a_quarter_of_its_front_is_wedged_moderately():
    spine = moved(a_spine(), L1_superior_anterior=[0, -6.25])
    assert at(spine, "anterior_height", "L1").value == pytest.approx(18.75)
    assert at(spine, "posterior_height", "L1").value == pytest.approx(25)
    assert at(spine, "height_ratio", "L1").value == pytest.approx(75)
    assert at(spine, "wedge_angle", "L1").value == pytest.approx(-np.degrees(np.arctan(6.25 / 32)))
    assert genant_grade(at(spine, "height_ratio", "L1").value) == 2


def test_the_sacral_slope_is_that_of_the_spine_and_turns_with_the_film():
    assert at(a_spine(sacral_slope_deg=37), "sacral_slope", "S1").value == pytest.approx(37)


def test_bodies_are_measured_from_l1_to_l5():
    sites = [m.site for m in measure_everything(A_BENT_SPINE) if m.quantity == "wedge_angle"]
    assert sites == ["L1", "L2", "L3", "L4", "L5"]


@pytest.mark.parametrize(
    ("name", "site"),
    [("disc_height_middle", "L3/L4"), ("disc_height_index", "L3/L4"), ("height_ratio", "L3"), ("wedge_angle", "L3"),
     ("segmental_lordosis", "L3/L4"), ("sacral_slope", "S1"), ("lordosis", "L1-S1"), ("slip", "L3/L4")],
)  # fmt: skip
def test_the_error_of_every_kind_of_figure_is_that_of_drawn_corners(name, site):
    spine, rng = a_spine(angle_deg={"L3/L4": 8}, corner_error_mm=0.4), np.random.default_rng(1)
    drawn = [
        at(AnatomicalSpine(spine.points + rng.normal(0, 0.4, (22, 2)), spine.covariance, True), name, site).value
        for _ in range(150)
    ]
    assert at(spine, name, site).standard_error == pytest.approx(np.std(drawn), rel=0.2)


def test_units_and_definitions_stand_beside_each_value():
    units = {m.quantity: m.unit for m in measure(A_BENT_SPINE) if isinstance(m, Measurement)}
    assert units == {
        "sagittal_displacement_wall": "mm",
        "sagittal_displacement_endplate": "mm",
        "slip": "%",
        "intervertebral_angle": "deg",
    }
    assert "Fig. 1a" in at(A_BENT_SPINE, "sagittal_displacement_wall", "L1/L2").method


def on_a_film_and_back(anterior, spacing):
    return on_film(A_BENT_SPINE, anterior, spacing).to_anatomical(anterior, spacing)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(Side), st.floats(0.05, 2), st.floats(0.05, 2))
def test_nothing_depends_on_facing_or_on_the_shape_and_size_of_a_pixel(anterior, row_mm, column_mm):
    spine = on_a_film_and_back(anterior, PixelSpacing(row_mm, column_mm, "test", "patient"))
    assert values(spine) == pytest.approx(values(A_BENT_SPINE), abs=1e-6)


def test_a_mirrored_film_of_a_patient_who_faces_the_other_way_measures_the_same():
    spacing = PixelSpacing(0.2, 0.2, "test", "patient")
    film = on_film(A_BENT_SPINE, Side.LEFT, spacing)
    mirror = Affine2D.mirror(1200, "film", "mirrored")
    mirrored = SpineLandmarks(mirror.apply(film.points_px), film.covariance_px, film.confidence)
    assert values(mirrored.to_anatomical(Side.RIGHT, spacing)) == pytest.approx(values(A_BENT_SPINE), abs=1e-9)
    wrong = values(mirrored.to_anatomical(Side.LEFT, spacing))
    assert wrong["intervertebral_angle", "L4/L5"] == pytest.approx(-12)


@settings(max_examples=25, deadline=None)
@given(st.floats(-180, 180), st.floats(-500, 500), st.floats(-500, 500))
def test_nothing_depends_on_how_the_patient_is_turned_or_where_he_stands(degrees, x, y):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = AnatomicalSpine(A_BENT_SPINE.points @ np.array([[c, s], [-s, c]]) + [x, y], A_BENT_SPINE.covariance, True)
    assert values(turned) == pytest.approx(values(A_BENT_SPINE), abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 100))
def test_angles_and_slips_do_not_depend_on_scale_and_displacements_are_proportional_to_it(scale):
    scaled = values(AnatomicalSpine(A_BENT_SPINE.points * scale, A_BENT_SPINE.covariance, True))
    for (name, site), value in values(A_BENT_SPINE).items():
        factor = scale if name.startswith("sagittal_displacement") else 1
        assert scaled[name, site] == pytest.approx(value * factor, rel=1e-9, abs=1e-8)


def test_angles_and_slips_need_no_pixel_spacing_and_lengths_do():
    film = on_film(A_BENT_SPINE)
    spine = film.to_anatomical(Side.LEFT, None)
    assert at(spine, "slip", "L4/L5").value == pytest.approx(25)
    assert at(spine, "intervertebral_angle", "L4/L5").value == pytest.approx(12)
    for name in ("sagittal_displacement_wall", "sagittal_displacement_endplate"):
        reason = at(spine, name, "L4/L5").reason
        assert reason.startswith("no pixel spacing: ") and "give --spacing" in reason


def test_a_missing_corner_is_named_and_leaves_the_rest_measured():
    whole = a_spine(angle_deg={"L3/L4": 5})
    spine = a_spine(angle_deg={"L3/L4": 5}, absent=((Vertebra.L3, Corner.INFERIOR_POSTERIOR),))
    lost = {(m.quantity, m.site): m.reason for m in measure(spine) if isinstance(m, Unmeasurable)}
    del lost["sagittal_displacement_wall", "L5/S1"]
    everything_at_l3_l4 = {(q.name, "L3/L4") for q in QUANTITIES}
    assert set(lost) == {*everything_at_l3_l4, ("sagittal_displacement_wall", "L2/L3")}
    assert set(lost.values()) == {"L3 inferior posterior corner absent"}
    assert values(spine) == {key: value for key, value in values(whole).items() if key not in lost}


def test_two_missing_corners_are_both_named():
    spine = a_spine(absent=((Vertebra.S1, Corner.SUPERIOR_ANTERIOR), (Vertebra.L5, Corner.INFERIOR_POSTERIOR)))
    assert at(spine, "slip", "L5/S1").reason == "L5 inferior posterior corner and S1 superior anterior corner absent"


def test_an_endplate_without_length_cannot_be_measured_from():
    onto = a_spine().corner(Vertebra.L5, Corner.SUPERIOR_POSTERIOR)
    shift = onto - a_spine().corner(Vertebra.L5, Corner.SUPERIOR_ANTERIOR)
    spine = moved(a_spine(), L5_superior_anterior=shift)
    for name in ("slip", "sagittal_displacement_endplate", "intervertebral_angle"):
        reason = at(spine, name, "L4/L5").reason
        assert reason == "L5 superior anterior corner and L5 superior posterior corner fall together"
    assert at(spine, "sagittal_displacement_wall", "L4/L5").value == pytest.approx(0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-320, 1e-160, 1.0, 1e160, 1e300]), min_size=44, max_size=44))
def test_no_arrangement_of_corners_gives_nan_or_infinity(coordinates):
    points = np.array(coordinates).reshape(22, 2)
    for m in measure(AnatomicalSpine(points, np.tile(np.eye(2), (22, 1, 1)), True)):
        assert isinstance(m, Unmeasurable) or np.isfinite(m.value)  # Measurement itself refuses a non-finite error


def test_the_standard_error_of_an_angle_between_two_endplates_is_that_of_four_corners():
    error = at(a_spine(corner_error_mm=0.5), "intervertebral_angle", "L3/L4").standard_error
    assert error == pytest.approx(np.degrees(2 * 0.5 / 32), rel=1e-5)


def test_an_unknown_covariance_gives_an_unknown_standard_error_and_still_a_value():
    found = at(a_spine(slip_percent={"L4/L5": 25}, corner_error_mm=np.nan), "slip", "L4/L5")
    assert found.standard_error is None and found.value == pytest.approx(25)


def test_corners_known_exactly_have_no_error():
    assert {m.standard_error for m in measure(A_BENT_SPINE) if isinstance(m, Measurement)} == {0.0}


def test_the_propagated_error_agrees_with_a_monte_carlo_of_20000_spines():
    rng = np.random.default_rng(7)
    roots = rng.normal(scale=0.3, size=(22, 2, 2))  # another covariance, with a slant, at every corner
    covariance = roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(2)
    spine = AnatomicalSpine(A_BENT_SPINE.points, covariance, True)
    noise = np.einsum("nij,knj->kni", np.linalg.cholesky(covariance), rng.normal(size=(20_000, 22, 2)))
    for q in QUANTITIES:
        rows = [LANDMARK_INDEX[c] for c in q.of(Vertebra.L4, Vertebra.L5)]
        drawn = [q.formula(*(A_BENT_SPINE.points + shift)[rows]) for shift in noise]
        assert at(spine, q.name, "L4/L5").standard_error == pytest.approx(np.std(drawn), rel=0.05)


def test_a_measurement_must_be_a_number_and_its_error_not_negative():
    with pytest.raises(ValueError, match="must be finite; got nan"):
        Measurement("slip", "L4/L5", float("nan"), "%", None, "")
    with pytest.raises(ValueError, match="at least 0"):
        Measurement("slip", "L4/L5", 3.0, "%", -1.0, "")


@pytest.mark.parametrize(
    "found", [Measurement("slip", "L4/L5", 25.1, "%", None, "m"), Unmeasurable("slip", "L4/L5", "no corner")]
)
def test_a_quantity_comes_back_from_its_json(found):
    assert quantity_from_json(found.to_json()) == found


def test_a_quantity_with_other_keys_is_refused():
    with pytest.raises(ValueError, match="Measurement has the keys quantity, site, value"):
        quantity_from_json({"quantity": "slip", "site": "L4/L5", "val": 3})


def test_an_ordinary_spine_raises_no_doubt():
    assert implausibilities(A_BENT_SPINE) == ()
    assert implausibilities(a_spine(slip_percent={"L5/S1": 110})) == ()


def test_a_far_slip_above_l5_s1_asks_for_a_look_at_the_names():
    (doubt,) = implausibilities(a_spine(slip_percent={"L4/L5": 35}))
    assert doubt == "L4/L5: a slip as far as 0.35 of an endplate is far commoner at L5/S1: check the names"
    assert implausibilities(a_spine(slip_percent={"L5/S1": 35})) == implausibilities(
        a_spine(slip_percent={"L4/L5": -35})
    )


def test_a_spine_without_a_whole_vertebra_raises_no_doubt():
    posterior = tuple((v, Corner.SUPERIOR_POSTERIOR) for v in Vertebra)
    assert implausibilities(a_spine(absent=posterior)) == ()


def test_exchanged_vertebrae_are_doubted():
    points = A_BENT_SPINE.points.copy()
    points[[4, 5, 6, 7, 8, 9, 10, 11]] = points[[8, 9, 10, 11, 4, 5, 6, 7]]
    doubts = implausibilities(AnatomicalSpine(points, A_BENT_SPINE.covariance, True))
    assert any(doubt.startswith("L2 does not lie above L3") for doubt in doubts)


def test_a_spine_that_faces_the_other_way_is_doubted():
    mirrored = AnatomicalSpine(A_BENT_SPINE.points * [-1, 1], A_BENT_SPINE.covariance, True)
    assert "L3: an anterior corner does not lie in front of its posterior one" in implausibilities(mirrored)


def test_an_endplate_of_half_the_usual_length_is_doubted():
    doubts = implausibilities(moved(a_spine(), L3_superior_anterior=[-18, 0]))
    assert any(doubt.startswith("L3: its superior endplate is 0.48") for doubt in doubts), doubts


def test_endplates_that_cross_are_doubted():
    crossing = "L3/L4: the two endplates cross, by 0.25 of the mean superior endplate"
    assert crossing in implausibilities(moved(a_spine(), L3_inferior_anterior=[0, -16]))


def test_endplates_of_a_narrow_disc_may_touch():
    assert implausibilities(moved(a_spine(), L3_inferior_anterior=[0, -10])) == ()


def test_a_vertebra_that_stands_far_in_front_of_the_next_is_doubted():
    assert implausibilities(a_spine(slip_percent={"L3/L4": 180})) == (
        "L3/L4: the upper vertebra is displaced by 1.80 of the mean superior endplate",
    )


def test_a_crushed_body_and_a_gap_are_doubted():
    down = {f"L2_{corner}": [0, -20] for corner in ("superior_anterior", "superior_posterior")}
    assert implausibilities(moved(a_spine(), **down)) == (
        "L2: its height is 0.16 of the mean superior endplate",
        "L1/L2: the disc space is 0.88 of the mean superior endplate high",
    )


def test_a_spine_of_one_point_is_doubted_and_not_measured():
    spine = AnatomicalSpine(np.ones((22, 2)), np.zeros((22, 2, 2)), True)
    assert implausibilities(spine) == ("every superior endplate is a single point",)
    assert not values(spine)
